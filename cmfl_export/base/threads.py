"""A function over many items on threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .cpu import usable_cores

T = TypeVar("T")
R = TypeVar("R")

# Seconds that are left to what is under way when the caller stops: a file that is being written gets whole,
# and a decoder that does not come back is not waited for.
_FAREWELL = 0.7


def in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int | None = None, *, name: str
) -> Iterator[R]:
    """Yields `function` of each item, in order, from threads.

    Args:
        function: what it raises is raised here, when the item's turn comes.
        items: taken lazily, in the calling thread, at most two items per worker ahead.
        workers: threads; None means as many as this process has cores.
        name: of the work, for those who look at the threads of a process.
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
