"""The risk-coverage curve: the errors among the images that are answered, against the share answered.

A detector that may stay silent answers first where it is surest: where a score lies far from the threshold,
in log-odds, so that both sides of any threshold are measured alike. The risk is the share of wrong decisions
among the answered, of both classes together, so it depends on their sizes. Scores at one distance are
answered together.

R. El-Yaniv and Y. Wiener, On the Foundations of Noise-free Selective Classification, JMLR 2010; Y. Geifman
and others, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, ICLR 2019, for the area.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .counts import Floats
from .detection import probabilities

# Share of the images that is answered, by the name of the risk there.
COVERAGES = {"risk_at_80": 0.8, "risk_at_90": 0.9, "risk_at_100": 1.0}
# About the logit of the float64 next to 1. Beyond it scores are equally sure.
_LARGEST_LOGIT = 36.0


class RiskCoverage(NamedTuple):
    """The curve: float64 [D] each for D distinct distances from the threshold, coverage rising to 1.

    `distance`: those at least as far from the threshold, in log-odds, are answered.
    """

    distance: Floats
    coverage: Floats
    risk: Floats


class RiskRanking:
    """Scores that are sorted once by their distance from a threshold, for many sets of weights.

    Raises:
        ValueError: as `metrics.summary`.
    """

    def __init__(self, p_real: ArrayLike, is_real: ArrayLike, threshold: float) -> None:
        samples = probabilities(p_real, is_real)
        self._wrong = samples.called_real(threshold) != samples.is_real
        distance = np.abs(_logit(samples.scores) - _logit(np.array(threshold, np.float64)))
        # Ascending, so that -distance puts the surest first.
        negative, self._place = np.unique(-distance, return_inverse=True)
        self._distance: Floats = -negative

    def curve(self, weights: ArrayLike | None = None) -> RiskCoverage:
        """The curve; `weights` [N]: how often each sample counts, 1 each by default.

        Raises:
            ValueError: no sample counts.
        """
        counts = np.ones(self._wrong.size) if weights is None else np.asarray(weights, np.float64)
        size = self._distance.size
        at = np.bincount(self._place, counts, size)
        if not at.any():
            raise ValueError("there is no sample that counts")
        wrong = np.bincount(self._place, counts * self._wrong, size)
        occurs = at > 0
        answered = np.cumsum(at[occurs])
        return RiskCoverage(
            self._distance[occurs], answered / answered[-1], np.cumsum(wrong[occurs]) / answered
        )

    def figures(self, weights: ArrayLike | None = None) -> dict[str, float]:
        """`aurc`, the area under the curve, and the risks of `COVERAGES`; `weights` as for `curve`.

        The area is the mean over the samples of the risk when all that are at least as sure are answered. A
        risk at a coverage is that of the surest samples that make up at least this share.
        """
        curve = self.curve(weights)
        # A share that is reached up to rounding is reached.
        first = np.searchsorted(curve.coverage, np.array([*COVERAGES.values()]) - 1e-12)
        area = float((np.diff(curve.coverage, prepend=0.0) * curve.risk).sum())
        return {"aurc": area, **dict(zip(COVERAGES, curve.risk[first].tolist(), strict=True))}


def risk_coverage(
    p_real: ArrayLike, is_real: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> RiskCoverage:
    """The risk-coverage curve of scores in [0, 1] at a threshold.

    Raises:
        ValueError: as `metrics.summary`, or no sample counts.
    """
    return RiskRanking(p_real, is_real, threshold).curve(weights)


def _logit(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        found: Floats = (np.log(p) - np.log1p(-p)).clip(-_LARGEST_LOGIT, _LARGEST_LOGIT)
    return found
