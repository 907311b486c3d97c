"""Brings the images of many requests together into batches. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outputs = dict[str, NDArray[Any]]
# A batch, whether optional outputs are wanted, whether the batch is alone -> arrays with a row per image.
Infer = Callable[[NDArray[np.uint8], bool, bool], Outputs]


@dataclass(eq=False, slots=True)
class _Job:
    image: NDArray[np.uint8]
    extras: bool
    due: float
    outputs: asyncio.Future[Outputs]


class Batcher:
    """Runs images in batches, a batch per lane at one time. Used from one event loop.

    A batch starts when a lane is free and it is full, or its first image has waited long enough. While all
    lanes are busy, batches fill up. An image whose caller has been cancelled leaves the queue.
    """

    def __init__(
        self,
        infer: Infer,
        *,
        size: int,
        wait: float,
        lanes: int,
        pad: bool,
        on_batch: Callable[[int, float], None],
    ) -> None:
        """Starts nothing yet.

        Args:
            infer: runs a batch; called from threads, at most `lanes` times at once.
            size: images per batch, at least 1.
            wait: seconds that an image waits for others.
            lanes: batches that run at once, at least 1.
            pad: whether to fill an incomplete batch with black images, so that `infer` sees one shape.
            on_batch: called after each batch with its images and the seconds that it ran.
        """
        self._infer = infer
        self._size = size
        self._wait = wait
        self._lanes = lanes
        self._pad = pad
        self._on_batch = on_batch
        self._runner = ThreadPoolExecutor(lanes, thread_name_prefix="cmfl-infer")
        self._waiting: deque[_Job] = deque()
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Images that wait for a batch."""
        return len(self._waiting)

    async def outputs(self, image: NDArray[np.uint8], *, extras: bool = False) -> Outputs:
        """Returns the outputs of one image, which runs together with others.

        Raises:
            Exception: what `infer` raised for its batch.
        """
        loop = asyncio.get_running_loop()
        job = _Job(image, extras, loop.time() + self._wait, loop.create_future())
        self._waiting.append(job)
        self._start_due()
        return await job.outputs

    async def warm_up(self, image: NDArray[np.uint8]) -> None:
        """Runs the shapes and modes that requests will need, so that the first ones do not wait for them.

        Raises:
            Exception: what `infer` raised.
        """
        loop = asyncio.get_running_loop()
        for count in {self._size} if self._pad else {1, self._size}:
            for alone in {True, self._lanes == 1}:
                batch = np.stack([image] * count)
                await loop.run_in_executor(self._runner, self._infer, batch, False, alone)

    def close(self) -> None:
        """Starts no further batch."""
        self._runner.shutdown(wait=False, cancel_futures=True)

    def _start_due(self) -> None:
        """Starts the batches that can start, and sets the timer for the next one."""
        self._waiting = deque(job for job in self._waiting if not job.outputs.done())
        while self._waiting and self._running < self._lanes:
            early = self._waiting[0].due - asyncio.get_running_loop().time()
            if len(self._waiting) < self._size and early > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(early, self._on_timer)
                return
            self._start([self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))])

    def _on_timer(self) -> None:
        self._timer = None
        self._start_due()

    def _start(self, jobs: list[_Job]) -> None:
        images = [job.image for job in jobs]
        count = self._size if self._pad else len(images)
        batch = np.zeros((count, *images[0].shape), images[0].dtype)
        np.stack(images, out=batch[: len(images)])
        # Only where several batches wait is it better to share the threads.
        alone = self._lanes == 1 or (self._running == 0 and not self._waiting)
        self._running += 1
        loop = asyncio.get_running_loop()
        run = loop.run_in_executor(self._runner, self._infer, batch, any(job.extras for job in jobs), alone)
        run.add_done_callback(partial(self._end, jobs, loop.time()))

    def _end(self, jobs: list[_Job], start: float, run: asyncio.Future[Outputs]) -> None:
        self._running -= 1
        self._on_batch(len(jobs), run.get_loop().time() - start)
        error = run.exception()
        for place, job in enumerate(jobs):
            if job.outputs.done():
                continue
            if error is None:
                job.outputs.set_result({name: rows[place] for name, rows in run.result().items()})
            else:
                job.outputs.set_exception(error)
        self._start_due()
