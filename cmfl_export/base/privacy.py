"""Libraries that call home, kept from it. Standard library only.

ONNX Runtime sends events to its maker and leaves a device id in the user's cache and temporary folder; the
import of OpenVINO sends one and leaves folders in the home. `import cmfl_export` keeps the first from it, in
child processes as well, and `providers.load_openvino` the second. CMFL_TELEMETRY=1 leaves them to it, and a
value of ORT_DISABLE_TELEMETRY that is set already stays.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLE = "CMFL_TELEMETRY"
ORT_VARIABLE = "ORT_DISABLE_TELEMETRY"
_OPENVINO_PACKAGE = "openvino_telemetry"


def wanted() -> bool:
    """Whether the user wants the libraries to do as their makers ship them."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def onnxruntime_is_silent() -> bool:
    """Whether ONNX Runtime's telemetry is off in this process."""
    return os.environ.get(ORT_VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def silence_onnxruntime() -> None:
    """Tells ONNX Runtime to send and leave nothing; before its import, as it reads the environment then."""
    if not wanted():
        os.environ.setdefault(ORT_VARIABLE, "1")


@contextlib.contextmanager
def silent_openvino() -> Iterator[None]:
    """For the import of OpenVINO, which takes a stub of its own where its telemetry package is missing."""
    if wanted() or _OPENVINO_PACKAGE in sys.modules:
        yield
        return
    # What an import of a module that is None does is said in Python's reference: it is not found.
    sys.modules[_OPENVINO_PACKAGE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_OPENVINO_PACKAGE]
