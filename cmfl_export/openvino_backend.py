"""A model on OpenVINO: the faster runtime for reduced precision on CPUs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models_zoo import places

from .providers import load_openvino

SPECTRUM = "spectrum"  # the tensor of that name in every exported graph with a spectrum branch


class _Requests(NamedTuple):
    main: Any
    before: Any  # of the spectrum, where that is compiled apart, else None


class OpenVinoModel:
    """An exported file, compiled for this CPU. Safe to share between threads.

    A file in float16 says that its trunks need no more than half precision; they then run in bfloat16 (or
    float16) where the processor multiplies these itself. The spectrum is compiled apart, in float32.
    """

    def __init__(self, path: str | os.PathLike[str], precision: str, threads: int) -> None:
        """
        Args:
            path: the ONNX file.
            precision: of the file, as its card says.
            threads: of one run.

        Raises:
            RuntimeError: OpenVINO cannot read or compile the file.
        """
        openvino = load_openvino()
        self._core = openvino.Core()
        self._threads = threads
        half = self._half_precision() if precision == "fp16" else "f32"
        model = self._core.read_model(path)
        spectrum = _tensor(model, SPECTRUM)
        self._before: Any = None
        if half != "f32" and spectrum is not None:
            self._before = self._compile(openvino.Model([spectrum], model.get_parameters()), "f32")
            model = self._core.read_model(path)
            _feed(openvino, model, _tensor(model, SPECTRUM))
        self._model = self._compile(model, half)
        # Each with memory of its own for what is between the layers; as many as threads run at once.
        self._idle: list[_Requests] = []

    def run(self, names: Sequence[str], batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The outputs of these names for uint8 [n, 224, 224, 3]."""
        try:
            requests = self._idle.pop()
        except IndexError:
            before = self._before and self._before.create_infer_request()
            requests = _Requests(self._model.create_infer_request(), before)
        try:
            inputs = [batch]
            if requests.before:
                inputs.append(requests.before.infer([batch])[0])
            results = requests.main.infer(inputs)
            # Copies, because the request writes into the same memory again.
            return [results[name].copy() for name in names]
        finally:
            self._idle.append(requests)

    def _compile(self, model: Any, precision: str) -> Any:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": self._threads,
            # It would bind threads of the caller as well, and what these start afterwards (a training, a
            # pool of decoders) would find itself on one core.
            "ENABLE_CPU_PINNING": False,
        }
        folder = places.cache() / "openvino"
        with contextlib.suppress(OSError):
            # Compiling takes a second, reading what was compiled before a tenth of it. Where nothing can be
            # kept, it is compiled each time.
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                options["CACHE_DIR"] = str(folder)
        return self._core.compile_model(model, "CPU", options)

    def _half_precision(self) -> str:
        capabilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return next((name.lower() for name in ("BF16", "FP16") if name in capabilities), "f32").replace(
            "fp", "f"
        )


def _tensor(model: Any, name: str) -> Any:
    """The output of a node that bears this tensor name, or None."""
    return next(
        (output for node in model.get_ordered_ops() for output in node.outputs() if name in output.names),
        None,
    )


def _feed(openvino: Any, model: Any, output: Any) -> None:
    """Makes a tensor an input of the model, the second one."""
    parameter = openvino.opset13.parameter(output.partial_shape, openvino.Type.f32, SPECTRUM)
    for target in output.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    model.add_parameters([parameter])
