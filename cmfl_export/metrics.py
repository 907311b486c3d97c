"""Detection metrics on arrays of scores (ISO/IEC 30107-3 terms): NumPy only.

Convention: a score is P(real); an image is called real when its score >= threshold. APCER is the share of
attacks (synthetic) called real, BPCER the share of bona fide (real) images called synthetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class DEer(NamedTuple):
    """Detection equal error rate, in [0, 1], and the threshold that comes nearest to it."""

    rate: float
    threshold: float


def d_eer(p_real: ArrayLike, is_real: ArrayLike) -> DEer:
    """The error rate where APCER and BPCER are equal.

    Both rates are step functions of the threshold; where they do not meet, the rate is their mean at the
    threshold of the smallest difference (of two such thresholds, the lower).

    Args:
        p_real: [N] scores, finite.
        is_real: [N] true (1) for real, false (0) for synthetic.

    Raises:
        ValueError: different lengths, a score that is not finite, or a class without a sample.
    """
    scores = np.asarray(p_real, dtype=np.float64).ravel()
    real = np.asarray(is_real).ravel().astype(bool)
    if scores.shape != real.shape:
        raise ValueError(f"{scores.size} scores for {real.size} labels")
    if not np.isfinite(scores).all():
        raise ValueError("the scores are not all finite")
    n_real, n_attack = int(real.sum()), int((~real).sum())
    if n_real == 0 or n_attack == 0:
        raise ValueError(f"D-EER needs both classes; there are {n_real} real and {n_attack} synthetic scores")
    thresholds = np.unique(scores)
    bpcer = np.searchsorted(np.sort(scores[real]), thresholds, side="left") / n_real
    apcer = 1.0 - np.searchsorted(np.sort(scores[~real]), thresholds, side="left") / n_attack
    difference = np.abs(apcer - bpcer)
    best = int(np.flatnonzero(np.isclose(difference, difference.min(), rtol=0.0, atol=1e-12))[0])
    threshold = thresholds[best]
    if best > 0:
        # Between two scores every threshold decides alike; halfway keeps clear of both. Between neighbouring
        # floats halfway is rounded, possibly to the lower one, which would decide differently.
        below = thresholds[best - 1]
        threshold = max(0.5 * below + 0.5 * threshold, np.nextafter(below, np.inf))
    return DEer(float(0.5 * (apcer[best] + bpcer[best])), float(threshold))
