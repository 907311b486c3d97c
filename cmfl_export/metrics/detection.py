"""Detection metrics on arrays of scores, in the terms of ISO/IEC 30107-3.

Convention: a score is P(real); an image is called real when its score >= threshold. APCER is the share of
attacks (synthetic) called real, BPCER the share of bona fide (real) images called synthetic.

Every function takes

- `p_real`: [N] scores, finite (within [0, 1] for `brier`, `ece`, `reliability` and `summary`);
- `is_real`: [N] true (1) for real, false (0) for synthetic;
- `weights`: [N], >= 0, how often each sample counts; 1 each by default. Weight 0 leaves a sample out, and a
  whole weight n is the same as n copies.

and raises ValueError if the lengths differ, a score is not finite, a label is neither 0 nor 1, a weight is
negative or not finite, the threshold is NaN, or a class that the metric needs has no sample that counts.
Samples of equal score get equal decisions at any threshold. A returned threshold gives exactly the rates
returned with it, and lies halfway between two scores where possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .counts import Floats, Ranking, Samples, Tally


class DEer(NamedTuple):
    """The detection equal error rate, in [0, 1], and the threshold that comes nearest to it."""

    rate: float
    threshold: float


class OperatingPoint(NamedTuple):
    """A threshold and both error rates at it."""

    threshold: float
    apcer: float
    bpcer: float


class Det(NamedTuple):
    """Every distinct pair of error rates: float64 [K + 1] each for K distinct scores, thresholds rising.

    The first pair calls every sample real (APCER 1, BPCER 0), the last one none (0, 1).
    """

    threshold: Floats
    apcer: Floats
    bpcer: Floats


class Roc(NamedTuple):
    """The same points as a receiver operating characteristic: thresholds falling, float64 [K + 1] each.

    `fpr` is APCER and rises from 0 to 1; `tpr` is 1 - BPCER.
    """

    threshold: Floats
    fpr: Floats
    tpr: Floats


@dataclass(frozen=True)
class Reliability:
    """Scores against outcomes in equal bins of [0, 1], float64; a score on an edge belongs to the lower bin.

    Attributes:
        edges: [bins + 1].
        mean_score: [bins], the mean score in each bin; NaN in an empty bin.
        share_real: [bins], the share of real samples in each bin; NaN in an empty bin.
        count: [bins], the (weighted) number of samples in each bin.
    """

    edges: Floats
    mean_score: Floats
    share_real: Floats
    count: Floats


def apcer(
    p_real: ArrayLike, is_real: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> float:
    """The share of the synthetic samples that are called real (all attack types together)."""
    samples = Samples(p_real, is_real)
    return _share(samples.called_real(threshold), samples.weights(weights) * ~samples.is_real, "synthetic")


def bpcer(
    p_real: ArrayLike, is_real: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> float:
    """The share of the real samples that are called synthetic."""
    samples = Samples(p_real, is_real)
    return _share(~samples.called_real(threshold), samples.weights(weights) * samples.is_real, "real")


def accuracy(
    p_real: ArrayLike, is_real: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> float:
    """The share of correct decisions, which depends on the sizes of the classes."""
    samples = Samples(p_real, is_real)
    return _share(samples.called_real(threshold) == samples.is_real, samples.weights(weights), "one")


def apcer_by_attack(
    p_real: ArrayLike,
    is_real: ArrayLike,
    attack_types: ArrayLike,
    threshold: float,
    *,
    weights: ArrayLike | None = None,
) -> dict[str, float]:
    """The APCER of each attack type, the worst first; equal rates are in order of name.

    ISO/IEC 30107-3 reports the rate of each attack instrument species, and the highest as the system's rate;
    a mean would hide a generator that is not detected.

    Args:
        attack_types: [N] names; those of real samples are ignored.
    """
    samples = Samples(p_real, is_real)
    names = np.asarray(attack_types).ravel().astype(np.str_)
    if names.shape != samples.scores.shape:
        raise ValueError(f"{names.size} attack types for {samples.scores.size} scores")
    called_real = samples.called_real(threshold)
    counts = samples.weights(weights) * ~samples.is_real
    rates = {
        str(name): _share(called_real, counts * (names == name), "synthetic")
        for name in np.unique(names[counts > 0])
    }
    if not rates:
        raise ValueError("there is no synthetic sample that counts")
    return dict(sorted(rates.items(), key=lambda item: -item[1]))


def d_eer(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> DEer:
    """The error rate where APCER and BPCER are equal.

    Both rates are step functions of the threshold. If they do not meet, the result is their mean at the
    threshold of the smallest difference (the lower of two such thresholds).
    """
    return _d_eer(_tally(p_real, is_real, weights))


def bpcer_at_apcer(
    p_real: ArrayLike, is_real: ArrayLike, apcer: float, *, weights: ArrayLike | None = None
) -> OperatingPoint:
    """The smallest BPCER at an APCER of at most `apcer`; of thresholds that reach it, the smallest APCER.

    BPCER10, BPCER20 and BPCER100 of ISO/IEC 30107-3 are those at 0.10, 0.05 and 0.01. If no other threshold
    keeps the limit, the result is above all scores and calls every sample synthetic.

    Args:
        apcer: in [0, 1].
    """
    return _bpcer_at_apcer(_tally(p_real, is_real, weights), _limit(apcer))


def apcer_at_bpcer(
    p_real: ArrayLike, is_real: ArrayLike, bpcer: float, *, weights: ArrayLike | None = None
) -> OperatingPoint:
    """The smallest APCER at a BPCER of at most `bpcer`; of thresholds that reach it, the smallest BPCER.

    Args:
        bpcer: in [0, 1].
    """
    tally = _tally(p_real, is_real, weights)
    last = int(np.searchsorted(tally.bpcer, _limit(bpcer), side="right")) - 1
    return _point(tally, int(np.count_nonzero(tally.apcer > tally.apcer[last])))


def auc(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The area under the ROC curve: how often a real sample scores above a synthetic one; ties count half."""
    return _auc(_tally(p_real, is_real, weights))


def average_precision(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The precision at the score of each real sample, averaged; real is the positive class."""
    return _average_precision(_tally(p_real, is_real, weights))


def brier(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The mean squared difference between score and label, in [0, 1] (G. W. Brier, 1950, halved)."""
    samples = probabilities(p_real, is_real)
    counts = samples.weights(weights)
    _need(counts, "one")
    return float(np.average((samples.scores - samples.is_real) ** 2, weights=counts))


def reliability(
    p_real: ArrayLike, is_real: ArrayLike, *, bins: int = 15, weights: ArrayLike | None = None
) -> Reliability:
    """The share of real samples among those with scores near x; a calibrated model has x."""
    samples = probabilities(p_real, is_real)
    counts = samples.weights(weights)
    _need(counts, "one")
    return _reliability(samples.scores, counts * samples.is_real, counts, bins)


def ece(p_real: ArrayLike, is_real: ArrayLike, *, bins: int = 15, weights: ArrayLike | None = None) -> float:
    """The expected calibration error: |mean score - share of real|, averaged over all samples' bins.

    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2, for the score of the class
    real. It depends on the number of bins and, by chance, is above 0 even for a calibrated model.
    """
    return _ece(reliability(p_real, is_real, bins=bins, weights=weights))


def det(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> Det:
    """The detection error tradeoff (ISO/IEC 19795-1): BPCER against APCER over all thresholds."""
    tally = _tally(p_real, is_real, weights)
    return Det(tally.thresholds(), tally.apcer, tally.bpcer)


def roc(p_real: ArrayLike, is_real: ArrayLike, *, weights: ArrayLike | None = None) -> Roc:
    """The receiver operating characteristic: 1 - BPCER against APCER over all thresholds."""
    curve = det(p_real, is_real, weights=weights)
    return Roc(curve.threshold[::-1], curve.apcer[::-1], 1.0 - curve.bpcer[::-1])


def summary(
    p_real: ArrayLike, is_real: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> dict[str, float]:
    """All single-number metrics, by name.

    Args:
        threshold: for `apcer`, `bpcer` and `accuracy`; the others do not depend on it.

    Returns:
        d_eer, d_eer_threshold, bpcer10, bpcer20, bpcer100, apcer, bpcer, auc, average_precision, accuracy,
        ece (15 bins), brier; in this order.
    """
    samples = probabilities(p_real, is_real)
    return summary_of(Ranking(samples).tally(samples.weights(weights)), threshold)


def summary_of(tally: Tally, threshold: float) -> dict[str, float]:
    """The `summary` of scores in [0, 1] that are already counted."""
    real, attack, scores = tally.real, tally.attack, tally.scores
    equal = _d_eer(tally)
    at = tally.candidate(threshold)
    total = tally.n_real + tally.n_attack
    wrong = tally.real_below[at] + tally.attack_from[at]
    return {
        "d_eer": equal.rate,
        "d_eer_threshold": equal.threshold,
        "bpcer10": _bpcer_at_apcer(tally, 0.10).bpcer,
        "bpcer20": _bpcer_at_apcer(tally, 0.05).bpcer,
        "bpcer100": _bpcer_at_apcer(tally, 0.01).bpcer,
        "apcer": float(tally.apcer[at]),
        "bpcer": float(tally.bpcer[at]),
        "auc": _auc(tally),
        "average_precision": _average_precision(tally),
        "accuracy": float(1.0 - wrong / total),
        "ece": _ece(_reliability(scores, real, real + attack, 15)),
        "brier": float((real * (1.0 - scores) ** 2 + attack * scores**2).sum() / total),
    }


def _tally(p_real: ArrayLike, is_real: ArrayLike, weights: ArrayLike | None) -> Tally:
    samples = Samples(p_real, is_real)
    return Ranking(samples).tally(samples.weights(weights))


def probabilities(p_real: ArrayLike, is_real: ArrayLike) -> Samples:
    """The samples, checked as by `Samples` and for scores within [0, 1].

    Raises:
        ValueError: as `Samples`, or a score is outside [0, 1].
    """
    samples = Samples(p_real, is_real)
    if samples.scores.size and not (samples.scores.min() >= 0 and samples.scores.max() <= 1):
        raise ValueError("a score is outside [0, 1], so it is not a probability")
    return samples


def _need(counts: Floats, which: str) -> None:
    if not counts.any():
        raise ValueError(f"there is no {which} sample that counts")


def _limit(rate: float) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"the limit of a rate must be within 0 and 1, not {rate}")
    return rate


def _share(hits: NDArray[np.bool_], counts: Floats, which: str) -> float:
    _need(counts, which)
    return float(counts[hits].sum() / counts.sum())


def _point(tally: Tally, candidate: int) -> OperatingPoint:
    rates = float(tally.apcer[candidate]), float(tally.bpcer[candidate])
    return OperatingPoint(tally.threshold(candidate), *rates)


def _d_eer(tally: Tally) -> DEer:
    # It falls strictly from 1 to -1: the nearest to zero is the last above zero or the one after it.
    difference = tally.apcer - tally.bpcer
    after = int(np.count_nonzero(difference > 0))
    before = after - 1
    # Differences that are equally near may differ by rounding.
    nearer = difference[before] - abs(difference[after]) > 1e-12
    point = _point(tally, after if nearer else before)
    return DEer(0.5 * (point.apcer + point.bpcer), point.threshold)


def _bpcer_at_apcer(tally: Tally, limit: float) -> OperatingPoint:
    first = int(np.count_nonzero(tally.apcer > limit))
    return _point(tally, int(np.searchsorted(tally.bpcer, tally.bpcer[first], side="right")) - 1)


def _auc(tally: Tally) -> float:
    not_above = tally.attack_from[1:] + 0.5 * tally.attack
    return float(1.0 - (tally.real * not_above).sum() / (tally.n_real * tally.n_attack))


def _average_precision(tally: Tally) -> float:
    real_from = np.cumsum(tally.real[::-1])[::-1]
    precision = real_from / (real_from + tally.attack_from[:-1])
    return float((tally.real * precision).sum() / tally.n_real)


def _reliability(scores: Floats, real: Floats, counts: Floats, bins: int) -> Reliability:
    if bins < 1:
        raise ValueError(f"the number of bins must be at least 1, not {bins}")
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], scores, side="left")
    count: Floats = np.bincount(place, counts, bins).astype(np.float64, copy=False)
    in_bin = np.where(count > 0, count, np.nan)
    mean_score = np.bincount(place, counts * scores, bins) / in_bin
    return Reliability(edges, mean_score, np.bincount(place, real, bins) / in_bin, count)


def _ece(reliability: Reliability) -> float:
    gap = np.nan_to_num(np.abs(reliability.mean_score - reliability.share_real))
    return float((gap * reliability.count).sum() / reliability.count.sum())
