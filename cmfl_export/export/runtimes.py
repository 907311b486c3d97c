"""Lists the ways to run a file on this machine, for the comparison of scores everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ProviderError
from ..base.threads import in_order
from ..runtime import Session, choose_provider, open_web, web_trouble

UNOPTIMISED = "ONNX Runtime, unoptimised"
_ON_GPU = {"cuda": "CUDA", "cuda-graph": "CUDA graph", "tensorrt": "TensorRT"}


@dataclass(frozen=True)
class Runtime:
    """One way to run a file.

    Attributes:
        name: for people.
        open: prepares a file to run with a number of CPU threads.
        concurrent: whether several batches run at once, as in `cmfl predict` on a folder.
        precisions: the precisions that it is meant for.
    """

    name: str
    open: Callable[[Path, int | None], Session]
    concurrent: bool = False
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")

    def scores(
        self, session: Session, batches: Iterable[NDArray[np.uint8]], size: int
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yields P(real) of each head for each batch, in order.

        Args:
            session: what `open` returned.
            batches: uint8 [n, 224, 224, 3]; the last may have fewer images, and is filled up on a GPU.
            size: images of a full batch.
        """

        def run(batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            full = np.resize(batch, (size, *batch.shape[1:])) if session.full_batches else batch
            found = session.run(full, session.score_outputs, low_latency=not self.concurrent)
            return {name: values[: len(batch)] for name, values in found.items()}

        workers = session.concurrent_batches if self.concurrent else 1
        return in_order(run, batches, workers, name="matrix")


def runtimes() -> tuple[list[Runtime], dict[str, str]]:
    """The runtimes that load on this machine, the unoptimised one first, and why each other one does not."""
    found = [
        Runtime(UNOPTIMISED, _onnxruntime(optimise=False)),
        Runtime("ONNX Runtime", _onnxruntime()),
        Runtime("ONNX Runtime, exact", _onnxruntime(exact=True), precisions=("int8",)),
    ]
    missing: dict[str, str] = {}

    def add(runtime: Runtime, check: Callable[[], object]) -> None:
        try:
            check()
        except ProviderError as error:
            missing[runtime.name] = str(error)
        else:
            found.append(runtime)

    for name, concurrent in (("OpenVINO", False), ("OpenVINO, batches at once", True)):
        add(Runtime(name, _provider("openvino"), concurrent), partial(choose_provider, "openvino"))
    add(Runtime("onnxruntime-web", lambda path, _threads: open_web(path)), _check_web)
    for provider, name in _ON_GPU.items():
        add(Runtime(name, _provider(provider)), partial(choose_provider, provider))
    return found, missing


def _onnxruntime(*, optimise: bool = True, exact: bool = False) -> Callable[[Path, int | None], Session]:
    return lambda path, threads: Session.open(path, "onnxruntime", threads, optimise=optimise, exact=exact)


def _provider(name: str) -> Callable[[Path, int | None], Session]:
    return lambda path, threads: Session.open(path, name, threads)


def _check_web() -> None:
    trouble = web_trouble()
    if trouble is not None:
        raise ProviderError(f"{trouble.cause}; to fix it: {trouble.remedy}")
