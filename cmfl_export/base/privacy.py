"""Turns off the telemetry of ONNX Runtime, OpenVINO and Ray.

ONNX Runtime sends events to its maker and leaves a device id in the user's cache and temporary folder. The
import of OpenVINO sends an event and leaves folders in the user's home. `import cmfl_export` turns off the
first, in child processes as well, and `providers.load_openvino` the second. CMFL_TELEMETRY=1 leaves both on.
A value of ORT_DISABLE_TELEMETRY that is already set stays. A cluster that Ray starts here reports nothing
(`silence_ray`); one that was started elsewhere does what it was told there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLE = "CMFL_TELEMETRY"
ORT_VARIABLE = "ORT_DISABLE_TELEMETRY"
RAY_VARIABLE = "RAY_USAGE_STATS_ENABLED"
_OPENVINO_PACKAGE = "openvino_telemetry"


def wanted() -> bool:
    """Whether the user wants to leave the libraries' telemetry on."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def onnxruntime_is_silent() -> bool:
    """Whether ONNX Runtime's telemetry is off in this process."""
    return os.environ.get(ORT_VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def silence_onnxruntime() -> None:
    """Turns off ONNX Runtime's telemetry. Call this before its import, which reads the environment."""
    if not wanted():
        os.environ.setdefault(ORT_VARIABLE, "1")


def silence_ray() -> None:
    """Turns off the usage statistics of clusters that this process starts. Call this before Ray's import."""
    if not wanted():
        os.environ.setdefault(RAY_VARIABLE, "0")


@contextlib.contextmanager
def silent_openvino() -> Iterator[None]:
    """Hides OpenVINO's telemetry package during the block; OpenVINO's import then uses its own stub."""
    if wanted() or _OPENVINO_PACKAGE in sys.modules:
        yield
        return
    # Python's reference: the import of a module that is None here raises ModuleNotFoundError.
    sys.modules[_OPENVINO_PACKAGE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_OPENVINO_PACKAGE]
