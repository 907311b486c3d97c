"""Maps a function over many items on threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .cpu import usable_cores

T = TypeVar("T")
R = TypeVar("R")

# Seconds that running calls get when the caller stops: enough to finish writing a file, but a decoder that
# hangs does not block the end.
_FAREWELL = 0.7


def in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int | None = None, *, name: str
) -> Iterator[R]:
    """Yields `function` of each item, in order, from threads.

    Args:
        function: an exception that it raises is raised here, in the item's turn.
        items: read lazily, in the calling thread, at most two items per worker ahead.
        workers: number of threads; None means one per usable core.
        name: part of the threads' names.
    """
    threads = workers or usable_cores()
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"cmfl-{name}")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        wait(waiting, _FAREWELL)
