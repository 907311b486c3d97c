"""What an image file says about its picture: Content Credentials, IPTC, XMP, EXIF, texts of generators."""

from __future__ import annotations

from .c2pa_manifest import C2paState, has_manifest
from .inspection import Provenance, inspect
from .source_types import TERMS
from .statements import Statement

__all__ = ["TERMS", "C2paState", "Provenance", "Statement", "has_manifest", "inspect"]
