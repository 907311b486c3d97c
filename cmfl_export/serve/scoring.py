"""From the images of a request to its rows: decoded on threads, run in batches with those of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from ..base.errors import PackageError
from ..base.options import Align
from ..detector import Detector
from ..images import SIZE
from ..runtime import columns_with, pipeline
from .batching import Batcher
from .limits import RefusedError, Upload
from .metrics import Metrics
from .pace import Pace
from .pictures import pictures_of, values_of

T = TypeVar("T")
_OTHERS: tuple[Align | None, ...] = (None, "all", "largest")


class Scorer:
    """Scores the images of requests with one detector. Used from one event loop.

    Attributes:
        detector: that of requests which say nothing about faces.
        pace: counts the images that are decoded, wait or run now.
    """

    def __init__(
        self, detector: Detector, *, wait: float, most_waiting: int, most_seconds: float, metrics: Metrics
    ) -> None:
        """Prepares the threads, and the networks that look for faces if they are installed.

        Args:
            detector: that of requests which say nothing about faces, or "auto".
            wait: seconds that an image waits for others of its batch.
            most_waiting: images that are decoded, wait or run at one time.
            most_seconds: in which they must be done, at the rate so far.
            metrics: counts rows and batches.

        Raises:
            UsageError: an option about faces is out of its range.
        """
        self.detector = detector
        self.pace = Pace()
        self._most_waiting = most_waiting
        self._most_seconds = most_seconds
        self._metrics = metrics
        self._detectors, self._no_faces = _for_each_align(detector)
        self._threads = ThreadPoolExecutor(detector.workers, thread_name_prefix="cmfl-decode")
        self._free = asyncio.Semaphore(detector.workers)
        self._batcher = Batcher(
            lambda batch, extras, alone: detector.outputs_of(batch, extras=extras, low_latency=alone),
            size=detector.batch_size,
            wait=wait,
            lanes=detector.concurrent_batches,
            pad=detector.full_batches,
            on_batch=metrics.count_batch,
        )
        metrics.watch_queue(lambda: self.pace.images)

    async def warm_up(self) -> None:
        """Runs the model once in every way that requests need.

        Raises:
            ProviderError: it failed to run.
        """
        await self._batcher.warm_up(np.zeros((SIZE, SIZE, 3), np.uint8))

    @property
    def aligns(self) -> bool:
        """Whether requests may ask for faces to be looked for."""
        return "all" in self._detectors

    def check_room(self, images: int = 1) -> None:
        """Refuses a request that brings more images than there is room for.

        Raises:
            RefusedError: there is no room now.
        """
        waiting = self.pace.images
        # A request that finds nobody waiting is tried, however slow the last ones were.
        late = waiting > 0 and self.pace.wait(waiting + images) > self._most_seconds
        if late or waiting + images > self._most_waiting:
            raise RefusedError(429, f"{waiting} images are waiting", retry=True)

    async def records(
        self,
        uploads: Sequence[Upload],
        align: Align | None,
        pictures: Collection[str],
        values: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Returns the rows of the images, in order; one image that cannot be scored has a status.

        When the caller is cancelled, no work on its images starts any more.

        Args:
            uploads: the images.
            align: see `DetectorOptions`.
            pictures: of `pictures.KINDS`; drawn into the field `pictures` of the rows.
            values: of `pictures.VALUES`; in the field `values` of the rows.

        Raises:
            RefusedError: there is no room now, or faces cannot be looked for here.
            ProviderError: the model failed to run.
        """
        self.check_room(len(uploads))
        self.pace.enter(len(uploads))
        tasks: list[asyncio.Task[list[dict[str, Any]]]] = []
        try:
            detector = self._aligning(align)
            tasks += [
                asyncio.create_task(self._records_of(each, detector, pictures, values)) for each in uploads
            ]
            return [record for records in await asyncio.gather(*tasks) for record in records]
        finally:
            for task in tasks:
                task.cancel()
            self.pace.leave(len(uploads))

    def close(self) -> None:
        """Starts no further work."""
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _aligning(self, align: Align | None) -> Detector:
        if align not in self._detectors:
            raise RefusedError(501, f"this server cannot look for faces: {self._no_faces}")
        return self._detectors[align]

    async def _records_of(
        self, upload: Upload, detector: Detector, pictures: Collection[str], values: Collection[str]
    ) -> list[dict[str, Any]]:
        extras = bool(pictures or values)
        outcomes: list[pipeline.Outcome[None]]
        try:
            images = await self._in_thread(detector.images_of, upload.data)
        except Exception as error:
            outcomes = [pipeline.Outcome(None, error=error)]
        else:
            runs = [self._batcher.outputs(decoded.image, extras=extras) for decoded in images]
            outcomes = [
                pipeline.Outcome(None, decoded.about, outputs, decoded.image)
                for decoded, outputs in zip(images, await asyncio.gather(*runs), strict=True)
            ]
        columns = columns_with(detector.groups)
        records = []
        for outcome in outcomes:
            row = detector.row_of(upload.name, outcome, extras=extras)
            record = row.record(columns)
            if pictures:
                record["pictures"] = await self._in_thread(pictures_of, row, pictures)
            if values:
                record["values"] = values_of(row)
            self._metrics.count_row(row.status.value)
            records.append(record)
        return records

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls the function in a decoding thread as soon as one is free."""
        loop = asyncio.get_running_loop()

        def release(_: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._free.release)

        await self._free.acquire()
        work = self._threads.submit(function, *arguments)
        # Not when the caller ends: a decoder goes on after the caller has been cancelled.
        work.add_done_callback(release)
        return await asyncio.wrap_future(work)


def _for_each_align(detector: Detector) -> tuple[dict[Align | None, Detector], str]:
    """Returns the detectors for each kind of request, and why some are missing, else ""."""
    detectors: dict[Align | None, Detector] = {"auto": detector}
    if detector.options.aligned is False:
        return detectors | {None: detector}, "it was started for images that are not aligned"
    try:
        for align in _OTHERS:
            detectors[align] = detector.aligning(align)
    except PackageError as error:
        return detectors, str(error)
    return detectors, ""
