"""Execution providers: requests each from ONNX Runtime and finds out why one does not load.

`onnxruntime.get_available_providers()` lists the providers in the wheel, not those that work here: the CUDA
wheel lists CUDA on machines without a GPU. So a provider counts as loaded only if a session of a one-node
model was created and run on it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..base.cache import cache_folder
from ..base.errors import ProviderError
from ..base.privacy import onnxruntime_is_silent, silent_openvino

ORT_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cuda-graph": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
ON_GPU = ("cuda", "cuda-graph", "tensorrt")

# One Conv node, so that cuDNN must work as well: inputs x [1,1,2,2] and w [1,1,1,1], float32, opset 17, IR
# version 8. Made by onnx.helper.make_model(...).SerializeToString(); stored, so that onnx is not needed here.
TRIAL_MODEL = base64.b64decode(
    "CAg6awoPCgF4CgF3EgF5IgRDb252EgFnWhsKAXgSFgoUCAESEAoCCAEKAggBCgIIAgoCCAJaGwoBdxIWChQIARIQCgIIAQoCCAEK"
    "AggBCgIIAWIbCgF5EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCQgQKABAR"
)

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
_FATAL, _WARNING = 4, 2  # ONNX Runtime's log severities; it starts with WARNING
_stdout_lock = threading.Lock()
_import_lock = threading.Lock()


@dataclass(frozen=True)
class Trouble:
    """Why a provider does not load (`cause`) and what the user can do (`remedy`), one line each."""

    cause: str
    remedy: str


def load_onnxruntime() -> Any:
    """The onnxruntime module.

    Raises:
        ProviderError: it is not installed, or only in part.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported ({error}); run: pip install --upgrade cmfl-export"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ProviderError(
            "onnxruntime is only partly installed; run: pip uninstall -y onnxruntime onnxruntime-gpu; "
            "pip install --upgrade cmfl-export"
        )
    if onnxruntime_is_silent():
        # The process may have imported it before this package.
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def load_openvino() -> Any:
    """The openvino module.

    Raises:
        ProviderError: it is not installed, or cannot be imported.
    """
    try:
        with _import_lock, silent_openvino():
            import openvino
    except ImportError as error:
        raise ProviderError(
            f"openvino cannot be imported ({error}); run: pip install 'cmfl-export[openvino]'"
        ) from error
    return openvino


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def requested(name: str) -> list[tuple[str, dict[str, str]]]:
    """The `providers` argument for an InferenceSession on `name` (a key of ORT_NAMES)."""
    # TF32 has a mantissa of 10 bits, far too coarse for the spectrum's matrix products. cuDNN's heuristic
    # search finds kernels nearly as fast as the exhaustive one and does not stall on every new batch shape.
    options = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    cuda, cpu = (ORT_NAMES["cuda"], options), (ORT_NAMES["cpu"], dict[str, str]())
    recorded = (ORT_NAMES["cuda-graph"], options | {"enable_cuda_graph": "1"})
    chosen = {
        "cpu": [cpu],
        "cuda": [cuda, cpu],
        "cuda-graph": [recorded, cpu],
        "tensorrt": [_tensorrt(), cuda, cpu],
    }
    return chosen[name]


def _tensorrt() -> tuple[str, dict[str, str]]:
    """TensorRT and its options. Building an engine takes minutes, so engines are kept in the cache folder."""
    folder = str(cache_folder() / "tensorrt")
    options = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
    options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return ORT_NAMES["tensorrt"], options


def prepare(name: str) -> None:
    """Prepares the process for its first session on `name`."""
    if name == "tensorrt":
        # The TensorRT provider has no option against TF32; this variable is its only switch.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    if name in ON_GPU:
        _preload_libraries()


def trouble(name: str) -> Trouble | None:
    """Tries a provider on a one-node model: None if it really runs there, else why not.

    For tensorrt this builds an engine, which takes seconds. cuda-graph is tried as cuda: it has its library.
    """
    name = "cuda" if name == "cuda-graph" else name
    ort = load_onnxruntime()
    if ORT_NAMES[name] not in ort.get_available_providers():
        return _explain(f"the installed {_installed_text()} is built without it")
    prepare(name)
    # Asked first, because ONNX Runtime would complain about it on standard error.
    missing = _missing_library(name) if name in ON_GPU else ""
    if missing:
        return _explain(missing)
    try:
        with quiet():
            session = ort.InferenceSession(
                TRIAL_MODEL, silent_options(), providers=requested(name), enable_fallback=0
            )
            if session.get_providers()[0] == ORT_NAMES[name]:
                _run_trial(session)
                return None
        said = ""
    except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
        said = one_line(error)
    return _explain(said or "its libraries load, but no GPU that it supports was found")


def installed() -> dict[str, str]:
    """The installed distributions that provide the module onnxruntime, with their versions."""
    found = {}
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def conflict() -> Trouble | None:
    """The trouble if several distributions of onnxruntime are installed, which overwrite each other's files.

    That usually breaks CUDA. None if there is no conflict.
    """
    names = list(installed())
    if len(names) < 2:
        return None
    keep = "onnxruntime-gpu" if "onnxruntime-gpu" in names else names[-1]
    return Trouble(
        f"{' and '.join(names)} are both installed and overwrite each other",
        f"pip uninstall -y {' '.join(names)}; pip install {keep}",
    )


def nvidia_driver() -> str:
    """The GPU and the version of the NVIDIA driver as text; "" if there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool:
        command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return "; ".join(asked.stdout.split("\n")).strip("; ")
    with contextlib.suppress(OSError):
        return Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    return ""


def silent_options() -> Any:
    """SessionOptions that keep ONNX Runtime from writing to standard error; failures are raised anyway."""
    options = load_onnxruntime().SessionOptions()
    options.log_severity_level = _FATAL
    return options


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences ONNX Runtime's default logger, with which failing providers write to standard error."""
    ort = load_onnxruntime()
    ort.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)


def one_line(error: BaseException) -> str:
    """An exception's message on one line, at most 300 characters, without ONNX Runtime's prefix."""
    text = " ".join(str(error).split())
    _, prefix, rest = text.rpartition("[ONNXRuntimeError] : ")
    return (rest.split(" : ", 2)[-1] if prefix else text)[:300]


def _run_trial(session: Any) -> None:
    import numpy as np

    ones = {"x": np.ones((1, 1, 2, 2), np.float32), "w": np.ones((1, 1, 1, 1), np.float32)}
    session.run(None, ones)


@cache
def _preload_libraries() -> None:
    """Loads CUDA and cuDNN from the nvidia-* wheels, once.

    onnxruntime prints missing libraries to standard output, where rows may go. This is dropped, because
    `_missing_library` finds them, too.
    """
    ort = load_onnxruntime()
    # Two threads that swap sys.stdout at once could leave it swapped.
    with _stdout_lock, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        ort.preload_dlls()


def _missing_library(name: str) -> str:
    """The loader's error for the provider's library; "" if it can be loaded."""
    pattern = "onnxruntime_providers_{}.dll" if sys.platform == "win32" else "libonnxruntime_providers_{}.so"
    folder = Path(load_onnxruntime().__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / pattern.format("shared")), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / pattern.format(name)))
    except OSError as error:
        return one_line(error)
    return ""


def _explain(cause: str) -> Trouble:
    clash = conflict()
    if clash:
        return Trouble(f"{cause} ({clash.cause})", clash.remedy)
    if "built without" in cause:
        return Trouble(
            cause, "on Linux or Windows x86-64: pip uninstall -y onnxruntime; pip install onnxruntime-gpu"
        )
    if "libcuda.so" in cause or "nvcuda" in cause:
        return Trouble(cause, "install the NVIDIA driver, or start the container with access to the GPU")
    if "nvinfer" in cause or "nvonnxparser" in cause or "TensorRT libraries" in cause:
        return Trouble(
            cause, "install TensorRT 10 and put its library folder on LD_LIBRARY_PATH (PATH on Windows)"
        )
    if "shared object" in cause or "find module" in cause:
        return Trouble(cause, "pip install 'cmfl-export[cuda]'")
    return Trouble(cause, "check the GPU and its driver with nvidia-smi, and update the driver if it is old")


def _installed_text() -> str:
    return ", ".join(f"{name} {number}" for name, number in installed().items()) or "onnxruntime"
