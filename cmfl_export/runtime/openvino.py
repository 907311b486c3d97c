"""A model on OpenVINO: the faster runtime for reduced precision on CPUs."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import forks
from ..base.cache import cache_folder
from ..base.errors import ProviderError
from .model_check import SPECTRUM, SPECTRUM_STANDARDISED
from .providers import load_openvino, one_line

# Each concurrent batch needs its own memory for the values between the layers.
MOST_CONCURRENT_BATCHES = 8
_settling = threading.Lock()


class OpenVinoModel:
    """An exported file on this CPU. Safe to share between threads.

    The trunks of a float16 file need only half precision: they run in bfloat16 (or float16) where the
    processor multiplies these itself. The spectrum, up to the trunk, is compiled separately, in float32.

    The model is compiled in two ways, each on its first use: for one batch that uses all threads, and for
    `concurrent_batches` batches that share them. Concurrent batches finish sooner than one after the other,
    because no thread waits for the others at the end of each layer.

    Attributes:
        concurrent_batches: the best number of batches to run at once.
    """

    def __init__(self, path: str | os.PathLike[str], data: bytes, precision: str, threads: int) -> None:
        """Reads the model. It is compiled when it first runs.

        Args:
            path: the ONNX file, for errors.
            data: its content.
            precision: the file's precision, from its card.
            threads: CPU threads for all concurrent runs together.

        Raises:
            ProviderError: OpenVINO is not installed or cannot read the file, or this process was forked from
                one that used OpenVINO.
        """
        openvino = _ready_for_threads()
        self._path = path
        self._core = openvino.Core()
        self._threads = threads
        threads_per_batch = -(-threads // MOST_CONCURRENT_BATCHES)
        self.concurrent_batches = threads // threads_per_batch
        half = self._half_precision() if precision == "fp16" else "f32"
        with self._loading():
            model = self._core.read_model(data)
        names = [name for name in (SPECTRUM, SPECTRUM_STANDARDISED) if _tensor(model, name) is not None]
        # Models with their precisions; the outputs of the first are further inputs of the second.
        self._parts = [(model, half)]
        if half != "f32" and names:
            before = openvino.Model([_tensor(model, name) for name in names], model.get_parameters())
            model = self._core.read_model(data)
            for output in [_tensor(model, name) for name in names]:
                _feed(openvino, model, output)
            self._parts = [(before, "f32"), (model, half)]
        self._networks: dict[bool, _Network] = {}
        self._lock = threading.Lock()

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, low_latency: bool = True
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names, float32, for a batch uint8 [n, 224, 224, 3].

        Args:
            low_latency: True gives this batch all threads; False lets it share them with the other
                concurrent batches.

        Raises:
            ProviderError: OpenVINO cannot compile the model.
        """
        with self._lock, self._loading():
            if low_latency not in self._networks:
                self._networks[low_latency] = _Network(
                    [self._compile(*part, low_latency) for part in self._parts]
                )
        return self._networks[low_latency].run(names, batch)

    def _compile(self, model: Any, precision: str, low_latency: bool) -> Any:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if low_latency else "THROUGHPUT",
            "NUM_STREAMS": 1 if low_latency else self.concurrent_batches,
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": self._threads,
            # Pinning would bind the caller's threads as well, and everything that they start later (a
            # training, a pool of decoders) would run on one core.
            "ENABLE_CPU_PINNING": False,
        }
        folder = cache_folder() / "openvino"
        with contextlib.suppress(OSError):
            # Compiling takes a second, reading the cached result a tenth of that. Without a writable cache
            # the model is compiled each time.
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                options["CACHE_DIR"] = str(folder)
        return self._core.compile_model(model, "CPU", options)

    @contextlib.contextmanager
    def _loading(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ProviderError(
                f"{self._path}: OpenVINO cannot load the model: {one_line(error)}; use --provider onnxruntime"
            ) from error

    def _half_precision(self) -> str:
        capabilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return next((name.lower() for name in ("BF16", "FP16") if name in capabilities), "f32").replace(
            "fp", "f"
        )


class _Network:
    """The compiled parts of a model, with their idle requests: one per part and concurrent run."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._idle: list[list[Any]] = []

    def run(self, names: Sequence[str], batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        try:
            requests = self._idle.pop()
        except IndexError:
            requests = [part.create_infer_request() for part in self._parts]
        try:
            inputs = [batch]
            for request in requests[:-1]:
                inputs += request.infer([batch]).values()
            results = requests[-1].infer(inputs)
            # Copies, because the request writes into the same memory again.
            return [results[name].copy() for name in names]
        finally:
            self._idle.append(requests)


def _ready_for_threads() -> Any:
    """The openvino module, prepared for use by many threads.

    Its binding builds its table of NumPy types on the first conversion of a tensor, and releases the
    interpreter's lock while C++ guards that table. A second thread that converts its first tensor then waits
    for the guard while it holds the interpreter's lock: a deadlock. So one thread runs a small network here,
    from array to array, before any other thread can.
    """
    _in_this_process().check()
    openvino = load_openvino()
    with _settling:
        _run_once(openvino)
    return openvino


@cache
def _in_this_process() -> forks.Native:
    return forks.Native("OpenVINO", remedy="take --provider onnxruntime there")


@cache
def _run_once(openvino: Any) -> None:
    for kind, name in ((np.uint8, "u8"), (np.float32, "f32")):
        given = openvino.Tensor(np.zeros(1, kind)), openvino.Tensor(getattr(openvino.Type, name), [1])
        for tensor in given:
            np.array(tensor.data)
    image = openvino.opset13.parameter([1], openvino.Type.u8)
    score = openvino.opset13.convert(image, "f32")
    score.output(0).set_names({"score"})
    compiled = openvino.Core().compile_model(
        openvino.Model([score], [image]), "CPU", {"INFERENCE_NUM_THREADS": 1}
    )
    results = compiled.create_infer_request().infer([np.zeros(1, np.uint8)])
    np.array(results[0]), np.array(results["score"])


def _tensor(model: Any, name: str) -> Any:
    """The output of the node with this tensor name, or None."""
    return next(
        (output for node in model.get_ordered_ops() for output in node.outputs() if name in output.names),
        None,
    )


def _feed(openvino: Any, model: Any, output: Any) -> None:
    """Turns a tensor into a further input of the model."""
    parameter = openvino.opset13.parameter(output.partial_shape, openvino.Type.f32)
    for target in output.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    model.add_parameters([parameter])
