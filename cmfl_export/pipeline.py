"""Decoding beside inference: sources in, outcomes of each in the same order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Infer = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]

# Failed inputs wait for the batch that they stand in, for the sake of order. When this many batches' worth
# of them wait, the batch is run as it is: a folder of a million broken files shall not fill the memory.
_MOST_WAITING = 8


class Decoded(NamedTuple):
    """One image of a source, and what its decoder has to say about it."""

    image: NDArray[np.uint8]
    about: Any = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one image of a source: its row of every output; or what decoding the source raised."""

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
) -> Generator[Outcome[T], None, None]:
    """Decodes on `workers` threads while `infer` runs in the calling thread.

    Yields one outcome for each image of each source, in order, as soon as its batch has run. A source that
    fails to decode has one outcome and takes no place in a batch. At most `window(batch_size, workers)`
    sources are taken ahead of the batch that is being put together. Closing the generator drops what is
    waiting; no decode starts after that.

    Args:
        sources: taken from lazily, in the calling thread. What it raises is raised here, after the outcomes
            of the sources before it.
        decode: one source -> its images, at least one; all images have one shape and dtype. An `Exception`
            that it raises becomes the outcome.
        infer: a batch [n, ...] -> arrays by name, each with n rows. What it raises is raised here.
        batch_size: images in a batch, at least 1.
        workers: decoding threads, at least 1.
        pad: fill a batch that is not full with black images, whose rows are dropped, so that `infer` sees
            one shape only.
    """
    ahead = window(batch_size, workers)
    waiting: deque[tuple[T, Future[Sequence[Decoded]]]] = deque()
    iterator = iter(sources)
    broken: Exception | None = None
    exhausted = False
    batch = _Batch[T](infer, batch_size, pad)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cmfl-decode")
    try:
        while True:
            while not exhausted and len(waiting) < ahead:
                try:
                    source = next(iterator)
                except StopIteration:
                    exhausted = True
                except Exception as error:
                    broken, exhausted = error, True
                else:
                    waiting.append((source, pool.submit(decode, source)))
            if not waiting:
                break
            source, future = waiting.popleft()
            for image in _result(future):
                batch.add(source, image)
                if batch.is_due():
                    yield from batch.flush()
        yield from batch.flush()
    finally:
        # Not waited for: a decode that is under way ends by itself, and the caller wants to go on now.
        pool.shutdown(wait=False, cancel_futures=True)
    if broken is not None:
        raise broken


def window(batch_size: int, workers: int) -> int:
    """How many sources may be taken ahead: the next two batches, and one in the hands of each worker."""
    return 2 * batch_size + workers


def _result(future: Future[Sequence[Decoded]]) -> Sequence[Decoded | Exception]:
    try:
        return future.result()
    except Exception as error:
        return [error]


class _Batch(Generic[T]):
    """The images of the batch that is being put together, and its sources with those between that failed."""

    def __init__(self, infer: Infer, size: int, pad: bool) -> None:
        self._infer = infer
        self._size = size
        self._pad = pad
        self._images: list[NDArray[np.uint8]] = []
        self._rows: list[tuple[T, Decoded | Exception]] = []

    def add(self, source: T, image: Decoded | Exception) -> None:
        self._rows.append((source, image))
        if isinstance(image, Decoded):
            self._images.append(image.image)

    def is_due(self) -> bool:
        """Full, or holding up failed sources: no image before them to wait for, or too many of them."""
        images = len(self._images)
        return images in (0, self._size) or len(self._rows) >= _MOST_WAITING * self._size

    def flush(self) -> Iterator[Outcome[T]]:
        rows, images = self._rows, self._images
        self._rows, self._images = [], []
        outputs = self._infer(self._stack(images)) if images else {}
        position = 0
        for source, image in rows:
            if isinstance(image, Exception):
                yield Outcome(source, error=image)
            else:
                row = {name: values[position] for name, values in outputs.items()}
                yield Outcome(source, image.about, row, image.image)
                position += 1

    def _stack(self, images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        count = self._size if self._pad else len(images)
        batch = np.zeros((count, *images[0].shape), images[0].dtype)
        np.stack(images, out=batch[: len(images)])
        return batch
