"""Counts the real and the synthetic samples at each distinct score.

Every metric that depends on the order of the scores is a function of these counts. So ties need no special
case, and a bootstrap replicate is the same scores with other counts: they are sorted only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_OneOrMany = TypeVar("_OneOrMany", np.float64, Floats)


class Samples:
    """Checked scores with their labels: `scores` float64 [N], `is_real` bool [N].

    Raises:
        ValueError: the lengths differ, a score is not finite, or a label is neither true nor false.
    """

    def __init__(self, p_real: ArrayLike, is_real: ArrayLike) -> None:
        self.scores: Floats = np.asarray(p_real, dtype=np.float64).ravel()
        labels = np.asarray(is_real).ravel()
        if self.scores.shape != labels.shape:
            raise ValueError(f"{self.scores.size} scores for {labels.size} labels")
        if not np.isfinite(self.scores).all():
            raise ValueError("the scores are not all finite")
        self.is_real: NDArray[np.bool_] = labels.astype(np.bool_)
        if not (labels == self.is_real).all():
            raise ValueError("a label is neither 1 (real) nor 0 (synthetic)")

    def called_real(self, threshold: float) -> NDArray[np.bool_]:
        """Whether each sample is called real at this threshold, bool [N].

        Raises:
            ValueError: the threshold is NaN.
        """
        _refuse_nan(threshold)
        return self.scores >= threshold

    def weights(self, weights: ArrayLike | None) -> Floats:
        """How often each sample counts, float64 [N]: `weights`, or 1 for each if it is None.

        Raises:
            ValueError: the length differs, or a weight is negative or not finite.
        """
        if weights is None:
            return np.ones(self.scores.size)
        checked: Floats = np.asarray(weights, dtype=np.float64).ravel()
        if checked.shape != self.scores.shape:
            raise ValueError(f"{checked.size} weights for {self.scores.size} scores")
        if not (np.isfinite(checked) & (checked >= 0)).all():
            raise ValueError("a weight is negative or not finite")
        return checked


@dataclass(frozen=True)
class Tally:
    """The K distinct scores that occur, and the samples at each.

    There are K + 1 possible decisions, called candidates: candidate k calls the samples with score k or
    higher real; candidate K calls no sample real.

    Attributes:
        scores: float64 [K], ascending.
        real, attack: float64 [K], the (weighted) number of samples with that score; not both zero.
    """

    scores: Floats
    real: Floats
    attack: Floats

    @property
    def n_real(self) -> float:
        """The (weighted) number of real samples."""
        return float(self.real_below[-1])

    @property
    def n_attack(self) -> float:
        """The (weighted) number of synthetic samples."""
        return float(self.attack_from[0])

    @cached_property
    def real_below(self) -> Floats:
        """The number of real samples that candidate k calls synthetic, [K + 1]."""
        return np.concatenate([[0.0], np.cumsum(self.real)])

    @cached_property
    def attack_from(self) -> Floats:
        """The number of synthetic samples that candidate k calls real, [K + 1].

        Summed from above, so that the last is exactly 0.
        """
        return np.concatenate([np.cumsum(self.attack[::-1])[::-1], [0.0]])

    @cached_property
    def apcer(self) -> Floats:
        """The APCER of each candidate, [K + 1], falling from 1 to 0."""
        return self.attack_from / self.n_attack

    @cached_property
    def bpcer(self) -> Floats:
        """The BPCER of each candidate, [K + 1], rising from 0 to 1."""
        return self.real_below / self.n_real

    def candidate(self, threshold: float) -> int:
        """The candidate with the same decisions as the threshold.

        Raises:
            ValueError: the threshold is NaN.
        """
        _refuse_nan(threshold)
        return int(np.searchsorted(self.scores, threshold, side="left"))

    def threshold(self, candidate: int) -> float:
        """A threshold with the same decisions as the candidate: halfway between two scores.

        For candidate 0 it is the lowest score. For candidate K it is halfway from the highest score to 1, or
        the next float if the highest score is 1 or more; infinity only if there is no next float.
        """
        if candidate == 0:
            return float(self.scores[0])
        below = self.scores[candidate - 1]
        if candidate < self.scores.size:
            return float(_between(below, self.scores[candidate]))
        with np.errstate(over="ignore"):
            return float(_between(below, np.maximum(below, 1.0)))

    def thresholds(self) -> Floats:
        """The thresholds of all candidates, float64 [K + 1], strictly rising."""
        inner = _between(self.scores[:-1], self.scores[1:])
        return np.concatenate([[self.threshold(0)], inner, [self.threshold(self.scores.size)]])


class Ranking:
    """Scores that are sorted once and can be counted with many sets of weights."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._distinct, place = np.unique(samples.scores, return_inverse=True)
        self._place_of_real = place[samples.is_real]
        self._place_of_attack = place[~samples.is_real]

    def tally(self, weights: Floats) -> Tally:
        """Counts the samples at each score.

        Args:
            weights: float64 [N], >= 0: how often each sample counts.

        Raises:
            ValueError: a class has no sample that counts.
        """
        is_real = self._samples.is_real
        size = self._distinct.size
        real: Floats = np.bincount(self._place_of_real, weights[is_real], size).astype(np.float64, copy=False)
        attack: Floats = np.bincount(self._place_of_attack, weights[~is_real], size).astype(
            np.float64, copy=False
        )
        if not (real.any() and attack.any()):
            n_real, n_attack = (np.count_nonzero(weights[of_class]) for of_class in (is_real, ~is_real))
            raise ValueError(f"both classes are needed; {n_real} real and {n_attack} synthetic scores count")
        occurs = real + attack > 0
        return Tally(self._distinct[occurs], real[occurs], attack[occurs])


def _between(below: _OneOrMany, above: _OneOrMany) -> _OneOrMany:
    # Halfway between neighbouring floats may round to the lower one, which would change decisions.
    between: _OneOrMany = np.maximum(0.5 * below + 0.5 * above, np.nextafter(below, np.inf))
    return between


def _refuse_nan(threshold: float) -> None:
    if np.isnan(threshold):
        raise ValueError("the threshold is not a number")
