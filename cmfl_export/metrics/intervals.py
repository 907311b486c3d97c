"""Confidence intervals of metrics: the bootstrap, paired differences, and Wilson's interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .counts import Floats, Ranking
from .detection import probabilities, summary_of


class Interval(NamedTuple):
    """A value with the bounds of its confidence interval; low <= value <= high."""

    value: float
    low: float
    high: float


def bootstrap(
    p_real: ArrayLike,
    is_real: ArrayLike,
    threshold: float,
    *,
    strata: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """The percentile bootstrap of every metric of `metrics.summary` (B. Efron, 1979).

    Each replicate draws, with replacement, as many real samples as there are, and as many synthetic samples
    of each stratum. An interval that does not contain the value itself is widened to it: ECE is larger in
    nearly every replicate, because drawn samples look less calibrated than their source.

    With `subjects`, whole subjects are drawn, because five photographs of a person are not five independent
    observations. A subject in several strata stays one unit. Only subjects of the same strata replace each
    other, so that no stratum is ever empty. A stratum of a single subject does not vary, so its share of the
    uncertainty is missing.

    Args:
        p_real: [N] scores in [0, 1].
        is_real: [N] true (1) for real, false (0) for synthetic.
        threshold: threshold of `apcer`, `bpcer` and `accuracy`; the same in every replicate.
        strata: [N] labels, for example attack types; the classes are always kept apart.
        subjects: [N] labels; None makes each sample a subject of its own.
        samples: number of replicates.
        seed: random seed; the same seed gives the same intervals.
        level: share of the replicates between the bounds.

    Raises:
        ValueError: as `metrics.summary`; or labels have another length, `samples` is below 1, or the level
            is outside (0, 1).
    """
    checked = probabilities(p_real, is_real)
    ranking = Ranking(checked)
    value = summary_of(ranking.tally(np.ones(checked.scores.size)), threshold)
    draws = _draws(checked.is_real, strata, subjects, samples, seed)
    return _intervals(value, [summary_of(ranking.tally(weights), threshold) for weights in draws], level)


def bootstrap_of(
    figures: Callable[[Floats], dict[str, float]],
    is_real: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """The percentile bootstrap of any figures of weighted samples, drawn as in `bootstrap`.

    Args:
        figures: of float64 [N], how often each sample counts. A figure that does not exist is NaN; replicates
            in which it does not exist are left out.
        is_real, strata, subjects, samples, seed, level: as in `bootstrap`.

    Raises:
        ValueError: as `bootstrap`.
    """
    labels = np.asarray(is_real, np.bool_).ravel()
    draws = _draws(labels, strata, subjects, samples, seed)
    return _intervals(figures(np.ones(labels.size)), [figures(weights) for weights in draws], level)


def paired_differences(
    a: ArrayLike,
    b: ArrayLike,
    is_real: ArrayLike,
    thresholds: tuple[float, float],
    *,
    strata: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """The metrics of `b` minus those of `a`, for two detectors' scores of the same images.

    Both use the same draws, so that the difficulty of an image for both cancels out. If an interval excludes
    0, the choice of images does not explain the difference.

    Args:
        a, b: [N] scores in [0, 1], in the same order of images.
        thresholds: the threshold of `a` and that of `b`.
        is_real, strata, subjects, samples, seed, level: as in `bootstrap`.

    Raises:
        ValueError: as `bootstrap`.
    """
    checked = [probabilities(scores, is_real) for scores in (a, b)]
    rankings = [Ranking(one) for one in checked]

    def difference(weights: Floats) -> dict[str, float]:
        before, after = (
            summary_of(ranking.tally(weights), threshold)
            for ranking, threshold in zip(rankings, thresholds, strict=True)
        )
        return {name: after[name] - before[name] for name in before}

    labels = checked[0].is_real
    draws = _draws(labels, strata, subjects, samples, seed)
    return _intervals(difference(np.ones(labels.size)), [difference(weights) for weights in draws], level)


def wilson(errors: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of the rate errors / n (E. B. Wilson, 1927).

    It suits a rate in a small group: for no error in 20 a bootstrap gives [0, 0], this gives [0, 0.16].

    Raises:
        ValueError: `errors` is outside [0, n], `n` is 0, or the level is outside (0, 1).
    """
    if not (n > 0 and 0 <= errors <= n):
        raise ValueError(f"{errors} errors in {n} samples is not a rate")
    z2 = NormalDist().inv_cdf(0.5 + 0.5 * _checked_level(level)) ** 2
    rate = errors / n
    centre = (errors + 0.5 * z2) / (n + z2)
    half = math.sqrt(z2 * (n * rate * (1 - rate) + 0.25 * z2)) / (n + z2)
    # At 0 and n errors one bound is the rate itself; rounding must not cross it.
    return Interval(rate, 0.0 if errors == 0 else centre - half, 1.0 if errors == n else centre + half)


def most_errors(n: int, rate: float, level: float = 0.95) -> int | None:
    """The most errors in n samples with which the true rate is at most `rate`, at this one-sided level.

    That is where the upper bound of C. J. Clopper and E. S. Pearson (1934) is at most `rate`. For scores in
    order it holds of a threshold chosen on the same samples (S. S. Wilks, 1941): the true share below the
    score number k + 1 is distributed as that bound says. None: even without an error there are too few.

    Raises:
        ValueError: the rate or the level is outside its range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"the limit of a rate must be within 0 and 1, not {rate}")
    if rate == 1:
        return n
    most = None
    for errors, below in enumerate(_binomial(n, rate)):
        if below > 1 - _checked_level(level):
            break
        most = errors
    return most


def upper_bound(errors: int, n: int, level: float = 0.95) -> float:
    """The one-sided upper bound of Clopper and Pearson (1934) of the rate errors / n.

    Raises:
        ValueError: `errors` is outside [0, n], `n` is 0, or the level is outside (0, 1).
    """
    if not (n > 0 and 0 <= errors <= n):
        raise ValueError(f"{errors} errors in {n} samples is not a rate")
    if errors == n:
        return 1.0
    outside = 1 - _checked_level(level)
    low, high = errors / n, 1.0
    # The chance of so few errors falls as the rate grows; 60 halvings leave no digit open.
    for _ in range(60):
        middle = 0.5 * (low + high)
        chance = next(below for count, below in enumerate(_binomial(n, middle)) if count == errors)
        low, high = (middle, high) if chance > outside else (low, middle)
    return high


def _binomial(n: int, rate: float) -> Iterator[float]:
    """Yields the chance of at most 0, 1, ... n errors in n samples."""
    chance = 0.0
    for errors in range(n + 1):
        if not 0 < rate < 1:
            chance = float(rate == 0 or errors == n)
        else:
            ways = math.lgamma(n + 1) - math.lgamma(errors + 1) - math.lgamma(n - errors + 1)
            chance += math.exp(ways + errors * math.log(rate) + (n - errors) * math.log1p(-rate))
        yield chance


def _draws(
    is_real: NDArray[np.bool_],
    strata: ArrayLike | None,
    subjects: ArrayLike | None,
    samples: int,
    seed: int,
) -> Iterator[Floats]:
    """Yields, for each of the `samples` replicates, how often each sample counts, float64 [N]."""
    if samples < 1:
        raise ValueError(f"the number of bootstrap replicates must be at least 1, not {samples}")
    size = is_real.size
    stratum = 2 * _codes(strata, size, "strata") + is_real if strata is not None else is_real.astype(np.intp)
    unit = np.arange(size) if subjects is None else _codes(subjects, size, "subjects")
    groups = _units_alike(unit, stratum)
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        drawn = np.concatenate([group[rng.integers(0, group.size, group.size)] for group in groups])
        yield np.bincount(drawn, minlength=size)[unit].astype(np.float64)


def _codes(labels: ArrayLike, size: int, what: str) -> NDArray[np.intp]:
    """The labels as numbers from 0."""
    flat = np.asarray(labels).ravel()
    if flat.size != size:
        raise ValueError(f"{flat.size} {what} for {size} scores")
    return np.unique(flat, return_inverse=True)[1]


def _units_alike(unit: NDArray[np.intp], stratum: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Groups of units that lie in the same strata, which may replace each other."""
    count = int(stratum.max()) + 1
    strata_of: dict[int, list[int]] = {}
    for pair in np.unique(unit * count + stratum).tolist():
        strata_of.setdefault(pair // count, []).append(pair % count)
    alike: dict[tuple[int, ...], list[int]] = {}
    for one, its_strata in strata_of.items():
        alike.setdefault(tuple(its_strata), []).append(one)
    return [np.array(units) for units in alike.values()]


def _intervals(
    value: dict[str, float], replicates: Sequence[dict[str, float]], level: float
) -> dict[str, Interval]:
    outside = 0.5 * (1.0 - _checked_level(level))
    found = {}
    for name, at in value.items():
        drawn = np.array([replicate[name] for replicate in replicates])
        drawn = drawn[~np.isnan(drawn)]
        if math.isnan(at) or not drawn.size:
            found[name] = Interval(at, math.nan, math.nan)
            continue
        low, high = np.quantile(drawn, [outside, 1.0 - outside])
        found[name] = Interval(at, min(at, float(low)), max(at, float(high)))
    return found


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"the confidence level must be between 0 and 1, not {level}")
    return level
