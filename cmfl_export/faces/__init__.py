"""From photographs to aligned face crops."""

from __future__ import annotations

from .align_folder import align_to
from .aligner import AlignedFace, Aligner
from .crop import FACE_SCALE, MARKER
from .find import MINIMUM
from .mtcnn import network_files

__all__ = [
    "FACE_SCALE",
    "MARKER",
    "MINIMUM",
    "AlignedFace",
    "Aligner",
    "align_to",
    "network_files",
]
