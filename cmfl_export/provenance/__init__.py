"""What an image file says about its picture: Content Credentials, IPTC, XMP, EXIF, texts of generators."""

from __future__ import annotations

from .c2pa_manifest import C2paState, has_manifest
from .inspection import Provenance, inspect
from .run import COLUMNS, Inspected, InspectSummary, inspect_files, inspect_paths, read_anchors, write_rows
from .source_types import TERMS
from .statements import Statement

__all__ = [
    "COLUMNS",
    "TERMS",
    "C2paState",
    "InspectSummary",
    "Inspected",
    "Provenance",
    "Statement",
    "has_manifest",
    "inspect",
    "inspect_files",
    "inspect_paths",
    "read_anchors",
    "write_rows",
]
