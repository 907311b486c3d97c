"""From the text of an input to bytes: addresses in stores, members of archives, rows of Parquet files."""

from __future__ import annotations

from .archives import members
from .listing import is_pattern as is_object_pattern
from .listing import matches as matching_objects
from .listing import objects
from .lookup import is_reference, located, place_of, read_bytes
from .names import archive_kind, is_web, member_of, scheme_of, shown, split_member
from .place import Fault, Located, Object, Place
from .store_file import open_binary

__all__ = [
    "Fault",
    "Located",
    "Object",
    "Place",
    "archive_kind",
    "is_object_pattern",
    "is_reference",
    "is_web",
    "located",
    "matching_objects",
    "member_of",
    "members",
    "objects",
    "open_binary",
    "place_of",
    "read_bytes",
    "scheme_of",
    "shown",
    "split_member",
]
