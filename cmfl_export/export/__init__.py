"""From weights to one ONNX file, smaller precisions of it, and the proof that it agrees.

>>> from cmfl_export.export import export, verify
>>> card = export("runs/both", "model.onnx")  # doctest: +SKIP
>>> verify("model.onnx", "runs/both", ["images/"]).ok  # doctest: +SKIP
"""

from __future__ import annotations

from .parity import Report, verify
from .reduce import Limits
from .run import OPTIONAL_OUTPUTS, export, summary

__all__ = ["OPTIONAL_OUTPUTS", "Limits", "Report", "export", "summary", "verify"]
