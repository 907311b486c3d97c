"""From the text of an input to bytes: addresses in stores, members of archives, rows of Parquet files."""

from __future__ import annotations

from .archives import members
from .frames import Clip, ClipFault, Frame, clip_of, frames_of
from .listing import is_pattern as is_object_pattern
from .listing import matches as matching_objects
from .listing import objects
from .lookup import is_reference, located, look_for, place_of, read_bytes
from .names import archive_kind, frame_of, is_web, member_of, scheme_of, shown, split_frame, split_member
from .place import Fault, Located, Object, Place
from .root import DataRoot
from .store_file import open_binary
from .upload import uploading

__all__ = [
    "Clip",
    "ClipFault",
    "DataRoot",
    "Fault",
    "Frame",
    "Located",
    "Object",
    "Place",
    "archive_kind",
    "clip_of",
    "frame_of",
    "frames_of",
    "is_object_pattern",
    "is_reference",
    "is_web",
    "located",
    "look_for",
    "matching_objects",
    "member_of",
    "members",
    "objects",
    "open_binary",
    "place_of",
    "read_bytes",
    "scheme_of",
    "shown",
    "split_frame",
    "split_member",
    "uploading",
]
