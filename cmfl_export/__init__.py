"""CMFL detection of synthetic faces as one ONNX file.

`from cmfl_export import Detector` is the way in from Python. The names are imported on first use, so that
`import cmfl_export`, and with it the command line's help, loads neither NumPy nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base.privacy import silence_onnxruntime

if TYPE_CHECKING:
    from .base.errors import (
        CmflError,
        DownloadError,
        InputError,
        ModelError,
        PackageError,
        ProtocolError,
        ProviderError,
        UsageError,
    )
    from .base.options import DetectorOptions
    from .detector import Detector
    from .images import Status
    from .runtime import ModelCard, Prediction

    __version__: str

__all__ = [
    "CmflError",
    "Detector",
    "DetectorOptions",
    "DownloadError",
    "InputError",
    "ModelCard",
    "ModelError",
    "PackageError",
    "Prediction",
    "ProtocolError",
    "ProviderError",
    "Status",
    "UsageError",
    "__version__",
]

# Before anything can import ONNX Runtime.
silence_onnxruntime()

_HOME = {
    "Detector": "detector",
    "DetectorOptions": "base.options",
    "ModelCard": "runtime",
    "Prediction": "runtime",
    "Status": "images",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(".base.versions", __name__).own_version()
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name in __all__:
        return getattr(import_module(".base.errors", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
