"""From photographs to aligned face crops."""

from __future__ import annotations

from .align_folder import align_to
from .aligner import AlignedFace, Aligner
from .crop import FACE_SCALE, MARKER
from .find import MINIMUM
from .model_inputs import InputGeometry, ModelInputs
from .mtcnn import is_available, network_files

__all__ = [
    "FACE_SCALE",
    "MARKER",
    "MINIMUM",
    "AlignedFace",
    "Aligner",
    "InputGeometry",
    "ModelInputs",
    "align_to",
    "is_available",
    "network_files",
]
