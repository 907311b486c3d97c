"""Decodes while the model runs: takes sources, gives their outcomes in the same order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Infer = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]

# To keep the order, failed sources wait for the batch that they belong to. When this many batches' worth of
# them wait, the batch runs as it is: a folder of a million broken files must not fill the memory.
_MOST_WAITING = 8


class Decoded(NamedTuple):
    """One image of a source, with what its decoder tells about it (`about`)."""

    image: NDArray[np.uint8]
    about: Any = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """The result of one image of a source: its row of every output, or the error of decoding the source."""

    source: T
    about: Any = None
    outputs: dict[str, NDArray[Any]] | None = None
    image: NDArray[np.uint8] | None = None
    error: Exception | None = None


def run(
    sources: Iterable[T],
    decode: Callable[[T], Sequence[Decoded]],
    infer: Infer,
    *,
    batch_size: int,
    workers: int,
    pad: bool,
    concurrent_batches: int = 1,
) -> Generator[Outcome[T], None, None]:
    """Yields one outcome for each image of each source, in order, decoding while `infer` runs.

    The outcomes of a batch come once it has run and the next one is running or waits for its decoders. A
    source that fails to decode has one outcome and takes no place in a batch. At most
    `window(batch_size, workers)` sources are read ahead of the batch that is being filled, and at most
    `concurrent_batches` + 1 batches wait for their outcomes. Closing the generator drops everything that
    waits; no decoding and no run starts after that.

    Args:
        sources: read lazily, in the calling thread. An exception that it raises is raised here, after the
            outcomes of the sources before it.
        decode: one source -> its images, at least one; all images have the same shape and dtype. An
            `Exception` that it raises becomes the outcome.
        infer: a batch [n, ...] -> arrays by name, each with n rows. Called for `concurrent_batches` batches
            at once. An exception that it raises is raised here, after the outcomes of earlier batches.
        batch_size: images per batch, at least 1.
        workers: decoding threads, at least 1.
        pad: whether to fill an incomplete batch with black images, whose rows are dropped, so that `infer`
            sees only one shape.
        concurrent_batches: how many batches to run at once, at least 1.
    """
    decoders = ThreadPoolExecutor(workers, thread_name_prefix="cmfl-decode")
    runner = ThreadPoolExecutor(concurrent_batches, thread_name_prefix="cmfl-infer")
    feed = _Feed(sources, decode, decoders, window(batch_size, workers))
    batch = _Batch[T](infer, runner, batch_size, pad)
    flying: deque[_Flight[T]] = deque()
    try:
        for source, decoded in feed:
            while flying and not decoded.done():
                either: tuple[Future[Any], Future[Any]] = (decoded, flying[0].outputs)
                wait(either, return_when=FIRST_COMPLETED)
                if flying[0].outputs.done():
                    yield from flying.popleft().land()
            for image in _result(decoded):
                batch.add(source, image)
                if batch.is_due():
                    flying.append(batch.launch())
                    # Only after the next batch is submitted, so that the model does not wait.
                    if len(flying) > concurrent_batches:
                        yield from flying.popleft().land()
                elif batch.has_only_failed() and not flying:
                    yield from batch.launch().land()
        flying.append(batch.launch())
        while flying:
            yield from flying.popleft().land()
    finally:
        # No waiting: running calls end by themselves, and the caller wants to continue now.
        decoders.shutdown(wait=False, cancel_futures=True)
        runner.shutdown(wait=False, cancel_futures=True)
    if feed.broken is not None:
        raise feed.broken


def window(batch_size: int, workers: int) -> int:
    """How many sources may be read ahead: the next two batches, and one per worker."""
    return 2 * batch_size + workers


def _result(future: Future[Sequence[Decoded]]) -> Sequence[Decoded | Exception]:
    try:
        return future.result()
    except Exception as error:
        return [error]


class _Feed(Generic[T]):
    """Iterates over the sources in order, each with its decoding, which is started ahead.

    Attributes:
        broken: the exception that ended the sources, if any.
    """

    def __init__(
        self,
        sources: Iterable[T],
        decode: Callable[[T], Sequence[Decoded]],
        decoders: ThreadPoolExecutor,
        ahead: int,
    ) -> None:
        self.broken: Exception | None = None
        self._sources = sources
        self._decode = decode
        self._decoders = decoders
        self._ahead = ahead

    def __iter__(self) -> Iterator[tuple[T, Future[Sequence[Decoded]]]]:
        waiting: deque[tuple[T, Future[Sequence[Decoded]]]] = deque()
        for source in self._until_broken():
            waiting.append((source, self._decoders.submit(self._decode, source)))
            if len(waiting) == self._ahead:
                yield waiting.popleft()
        yield from waiting

    def _until_broken(self) -> Iterator[T]:
        try:
            yield from self._sources
        except Exception as error:
            self.broken = error


class _Batch(Generic[T]):
    """The batch that is being filled: its images, and its sources including those that failed."""

    def __init__(self, infer: Infer, runner: ThreadPoolExecutor, size: int, pad: bool) -> None:
        self._infer = infer
        self._runner = runner
        self._size = size
        self._pad = pad
        self._images: list[NDArray[np.uint8]] = []
        self._rows: list[tuple[T, Decoded | Exception]] = []

    def add(self, source: T, image: Decoded | Exception) -> None:
        self._rows.append((source, image))
        if isinstance(image, Decoded):
            self._images.append(image.image)

    def is_due(self) -> bool:
        """Whether the batch is full or too many failed sources wait for it."""
        return len(self._images) == self._size or len(self._rows) >= _MOST_WAITING * self._size

    def has_only_failed(self) -> bool:
        return not self._images

    def launch(self) -> _Flight[T]:
        """Submits the batch and begins the next one."""
        rows, images = self._rows, self._images
        self._rows, self._images = [], []
        if images:
            return _Flight(rows, self._runner.submit(self._infer, self._stack(images)))
        nothing: Future[dict[str, NDArray[Any]]] = Future()
        nothing.set_result({})
        return _Flight(rows, nothing)

    def _stack(self, images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        count = self._size if self._pad else len(images)
        batch = np.zeros((count, *images[0].shape), images[0].dtype)
        np.stack(images, out=batch[: len(images)])
        return batch


class _Flight(NamedTuple, Generic[T]):
    """A batch that runs or waits for its run."""

    rows: list[tuple[T, Decoded | Exception]]
    outputs: Future[dict[str, NDArray[Any]]]

    def land(self) -> Iterator[Outcome[T]]:
        """Waits until the batch has run and yields the outcomes of its rows."""
        outputs = self.outputs.result()
        position = 0
        for source, image in self.rows:
            if isinstance(image, Exception):
                yield Outcome(source, error=image)
            else:
                row = {name: values[position] for name, values in outputs.items()}
                yield Outcome(source, image.about, row, image.image)
                position += 1
