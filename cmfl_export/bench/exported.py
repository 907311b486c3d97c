"""An exported model as a contender: the session alone by batch size, and the pipeline from files to rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import UsageError
from ..detector import Detector
from ..images import ImageError, decode
from .contenders import FOLDER
from .engine import Unit


class ExportedModel:
    """An exported model. Loads it, and scores the first images once for the comparison of scores.

    Args:
        model, provider, threads: see `Detector`.
        images: paths, at least one of which can be decoded.
        compared: number of images whose scores are compared.
        batch_size: images per batch of the pipeline; by default that of the backend.
    """

    def __init__(
        self,
        model: str,
        provider: str,
        threads: int | None,
        images: Sequence[str],
        compared: int,
        batch_size: int | None = None,
    ) -> None:
        # The images are crops, as for the other contenders, which look for no faces.
        self._detector = Detector(
            model, provider=provider, threads=threads, batch_size=batch_size, align=None
        )
        self._images = images
        self._turn = cycle(images)
        start = time.perf_counter()
        self._scores = [row.p_real for row in self._detector.stream(images[:compared])]
        self._rate = len(self._scores) / (time.perf_counter() - start)

    def about(self) -> dict[str, Any]:
        return {
            "provider": self._detector.provider,
            "batch_size": self._detector.batch_size,
            "threshold": self._detector.threshold,
            "scores": self._scores,
        }

    def unit(self, measure: str, seconds: float) -> Unit:
        if measure == FOLDER:
            return lambda: self._score_files(seconds)
        size = int(measure.removeprefix("batch "))
        batch = batch_of(self._images, size, aligned=self._detector.aligned)

        def run() -> float:
            self._detector.scores(batch)
            return size

        return run

    def _score_files(self, seconds: float) -> float:
        # One stream over all images of a measurement: filling and draining the pipeline is a part of it, and
        # with few images it would be most of it. All concurrent batches get as many images, else some would
        # idle at the end.
        size = self._detector.batch_size * self._detector.concurrent_batches
        count = max(1, round(self._rate * seconds / size)) * size
        start = time.perf_counter()
        rows = sum(1 for _ in self._detector.stream(islice(self._turn, count)))
        self._rate = rows / (time.perf_counter() - start)
        return rows


def batch_of(images: Sequence[str], size: int, *, aligned: bool) -> NDArray[np.uint8]:
    """Returns a batch, uint8 [size, 224, 224, 3], of the first images that decode, repeated to fill it.

    Raises:
        UsageError: none can be decoded.
    """
    found: list[NDArray[np.uint8]] = []
    for path in images:
        try:
            found.append(decode(path, aligned=aligned))
        except ImageError:
            continue
        if len(found) == size:
            break
    if not found:
        raise UsageError("none of the images can be decoded; give others with --images")
    return np.stack(list(islice(cycle(found), size)))
