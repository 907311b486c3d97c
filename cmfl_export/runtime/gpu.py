"""A model on a GPU, with its images and scores at fixed places in the GPU's memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .providers import load_onnxruntime


class _Bound(NamedTuple):
    """The memory for one batch size and one choice of outputs."""

    binding: Any
    image: Any
    outputs: list[Any]
    options: Any


class DeviceModel:
    """An ONNX Runtime session with its input and outputs bound to the memory of a device.

    Safe to share between threads. It runs in one thread of its own, because ONNX Runtime keeps CUDA handles
    and recorded graphs per thread.

    Attributes:
        concurrent_batches: 1.
    """

    concurrent_batches = 1

    def __init__(self, ort_session: Any, device: str, recorded: bool = False) -> None:
        """Wraps a session.

        Args:
            ort_session: an `onnxruntime.InferenceSession` with float32 outputs.
            device: where its memory is: "cuda" or "cpu".
            recorded: whether the session records a CUDA graph for each batch size and replays it. The memory
                of each batch size is then kept, because the graph writes to it.
        """
        self._session = ort_session
        self._device = device
        self._recorded = recorded
        (image,) = ort_session.get_inputs()
        self._image = image.name
        self._shapes = {output.name: output.shape for output in ort_session.get_outputs()}
        self._bound: dict[tuple[int, tuple[str, ...]], _Bound] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cmfl-device")

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, low_latency: bool = True
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names, float32, for a batch uint8 [n, 224, 224, 3]; see `Engine.run`."""
        return self._thread.submit(self._run, tuple(names), batch).result()

    def _run(self, names: tuple[str, ...], batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        key = len(batch), names
        if key not in self._bound:
            if not self._recorded:
                self._bound.clear()
            self._bound[key] = self._bind(names, batch)
        bound = self._bound[key]
        bound.image.update_inplace(batch)
        self._session.run_with_iobinding(bound.binding, bound.options)
        # Copies, because the next run writes into the same memory.
        return [np.array(value.numpy()) for value in bound.outputs]

    def _bind(self, names: tuple[str, ...], batch: NDArray[np.uint8]) -> _Bound:
        ort = load_onnxruntime()

        def place(shape: Sequence[int], kind: type[np.generic]) -> Any:
            return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), kind, self._device, 0)

        binding = self._session.io_binding()
        image = place(batch.shape, np.uint8)
        binding.bind_ortvalue_input(self._image, image)
        outputs = [place((len(batch), *self._shapes[name][1:]), np.float32) for name in names]
        for name, value in zip(names, outputs, strict=True):
            binding.bind_ortvalue_output(name, value)
        options = ort.RunOptions()
        if self._recorded:
            # ONNX Runtime identifies a graph by a number.
            options.add_run_config_entry("gpu_graph_id", str(len(self._bound) + 1))
        return _Bound(binding, image, outputs, options)
