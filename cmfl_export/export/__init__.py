"""Exports weights to one ONNX file, makes fp16 and int8 variants, and compares files with PyTorch.

>>> from cmfl_export.export import export, verify
>>> card = export("runs/both", "model.onnx")  # doctest: +SKIP
>>> verify("model.onnx", "runs/both", ["images/"]).ok  # doctest: +SKIP
"""

from __future__ import annotations

from .everywhere import sort_arguments, verify_everywhere
from .matrix import Matrix
from .parity import Report, verify
from .reduce import Limits
from .run import OPTIONAL_OUTPUTS, export, summary
from .triton import export_triton

__all__ = [
    "OPTIONAL_OUTPUTS",
    "Limits",
    "Matrix",
    "Report",
    "export",
    "export_triton",
    "sort_arguments",
    "summary",
    "verify",
    "verify_everywhere",
]
