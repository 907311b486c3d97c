"""Absolute differences of scores and spectra, summed up over any number of images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Quantiles come from a histogram (100 bins per power of ten), so that memory does not grow with the images.
_EDGES = np.concatenate([[0.0], np.logspace(-10, 1, 1101)])


@dataclass
class Differences:
    """The absolute differences of one comparison.

    Attributes:
        count, total, largest: of the values that were added.
        flips: how many decisions differ; None if none was compared.
    """

    count: int = 0
    total: float = 0.0
    largest: float = 0.0
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES) - 1, np.int64))
    flips: int | None = None

    def add(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        """Adds the differences of two arrays of one shape."""
        values = np.abs(got.astype(np.float64) - expected).ravel()
        self.count += values.size
        self.total += float(values.sum())
        # NumPy's maximum, unlike Python's, is NaN when one of them is.
        self.largest = float(np.maximum(self.largest, values.max()))
        self.histogram += np.histogram(values, _EDGES)[0]

    def add_decisions(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        """Counts the decisions that differ."""
        self.flips = (self.flips or 0) + int((got != expected).sum())

    @property
    def mean(self) -> float:
        """The mean difference; 0 if nothing was added."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """The upper edge of the quantile's bin, accurate to 2 %; at most the largest difference."""
        place = int(np.searchsorted(np.cumsum(self.histogram), q * self.count))
        # Differences outside the histogram are larger than every edge, or NaN.
        return min(float(_EDGES[place + 1]), self.largest) if place < len(self.histogram) else self.largest


def or_none(value: Any) -> Any:
    """The value as JSON can store it: None for a number that is NaN or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
