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
from .providers import load_openvino, one_line

SPECTRUM = "spectrum"  # the tensor of that name in every exported graph with a spectrum branch
# Each lane has memory of its own for what is between the layers.
MOST_LANES = 8
_settling = threading.Lock()


class OpenVinoModel:
    """An exported file on this CPU. Safe to share between threads.

    A file in float16 says that its trunks need no more than half precision; they then run in bfloat16 (or
    float16) where the processor multiplies these itself. The spectrum is compiled apart, in float32.

    It is compiled in two ways, each when it is first wanted: for one batch that shall have all threads, and
    for `lanes` batches at once that share them. Side by side they are done sooner than one after the other,
    as no thread waits for another at the end of each layer.

    Attributes:
        lanes: how many batches are best run at once.
    """

    def __init__(self, path: str | os.PathLike[str], data: bytes, precision: str, threads: int) -> None:
        """
        Args:
            path: the ONNX file, for errors.
            data: its content.
            precision: of the file, as its card says.
            threads: of all runs that are under way.

        Raises:
            CmflError: OpenVINO is not installed, or cannot read the file; or this process was forked from one
                that used OpenVINO.
        """
        openvino = _ready_for_threads()
        self._path = path
        self._core = openvino.Core()
        self._threads = threads
        threads_of_a_lane = -(-threads // MOST_LANES)
        self.lanes = threads // threads_of_a_lane
        half = self._half_precision() if precision == "fp16" else "f32"
        with self._loading():
            model = self._core.read_model(data)
        spectrum = _tensor(model, SPECTRUM)
        # Each a model and its precision; the first one's output is the second one's second input.
        self._parts = [(model, half)]
        if half != "f32" and spectrum is not None:
            before = openvino.Model([spectrum], model.get_parameters())
            model = self._core.read_model(data)
            _feed(openvino, model, _tensor(model, SPECTRUM))
            self._parts = [(before, "f32"), (model, half)]
        self._networks: dict[bool, _Network] = {}
        self._lock = threading.Lock()

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, alone: bool = True
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names for uint8 [n, 224, 224, 3].

        Args:
            alone: whether this batch shall have all threads, or is one of `lanes` at once.

        Raises:
            CmflError: OpenVINO cannot compile the model.
        """
        with self._lock, self._loading():
            if alone not in self._networks:
                self._networks[alone] = _Network([self._compile(*part, alone) for part in self._parts])
        return self._networks[alone].run(names, batch)

    def _compile(self, model: Any, precision: str, alone: bool) -> Any:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if alone else "THROUGHPUT",
            "NUM_STREAMS": 1 if alone else self.lanes,
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": self._threads,
            # It would bind threads of the caller as well, and what these start afterwards (a training, a
            # pool of decoders) would find itself on one core.
            "ENABLE_CPU_PINNING": False,
        }
        folder = cache_folder() / "openvino"
        with contextlib.suppress(OSError):
            # Compiling takes a second, reading what was compiled before a tenth of it. Where nothing can be
            # kept, it is compiled each time.
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
    """The compiled parts, and requests of them that are not in use: as many as there were runs at once."""

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
                inputs.append(request.infer([batch])[0])
            results = requests[-1].infer(inputs)
            # Copies, because the request writes into the same memory again.
            return [results[name].copy() for name in names]
        finally:
            self._idle.append(requests)


def _ready_for_threads() -> Any:
    """The openvino module, fit for use by many threads.

    Its binding makes the table between element types and NumPy's when a tensor is first converted, and lets
    go of the interpreter's lock while C++ guards that table. A second thread that converts its first tensor
    then waits for the guard with the interpreter's lock in hand, and neither ever goes on. So one small
    network is run here, by one thread, from array to array, before any other can be.
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
