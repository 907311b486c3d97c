"""How far chance may have moved a metric: bootstrap intervals, paired differences, Wilson's interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .counts import Floats, Ranking
from .detection import probabilities, summary_of


class Interval(NamedTuple):
    """A value and the bounds of its confidence interval; low <= value <= high."""

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
    """Percentile bootstrap of every metric of `metrics.summary` (B. Efron, 1979), deterministic in `seed`.

    Each replicate draws, with replacement, as many samples as there are within the real ones and within each
    stratum of the synthetic ones. An interval that does not hold the value itself is widened to it: ECE is
    larger in nearly every replicate, as drawn samples look less calibrated than those they are drawn from.

    With `subjects`, whole subjects are drawn: five photographs of a person are no five independent
    observations. A subject in several strata stays one unit; subjects in the same strata stand for one
    another, so that no stratum is ever without a sample. A stratum of a single subject does not vary: its
    share of the uncertainty is not seen.

    Args:
        p_real: [N] scores in [0, 1].
        is_real: [N] true (1) for real, false (0) for synthetic.
        threshold: of `apcer`, `bpcer` and `accuracy`; the same in every replicate.
        strata: [N] labels, attack types for example; classes are kept apart in any case.
        subjects: [N] labels; None takes each sample for itself.
        samples: replicates.
        level: share of the replicates between the bounds.

    Raises:
        ValueError: as `metrics.summary`; labels of another length; no replicate; a level outside (0, 1).
    """
    checked = probabilities(p_real, is_real)
    ranking = Ranking(checked)
    value = summary_of(ranking.tally(np.ones(checked.scores.size)), threshold)
    draws = _draws(checked.is_real, strata, subjects, samples, seed)
    return _intervals(value, [summary_of(ranking.tally(weights), threshold) for weights in draws], level)


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
    """Metrics of `b` minus those of `a`, two detectors' scores of the same images.

    Both are counted on the same draws, so that what makes an image hard for both cancels out. A difference
    whose interval excludes 0 is not explained by the choice of images.

    Args:
        a, b: [N] scores in [0, 1], in the same order of images.
        thresholds: (of a, of b).
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

    For a rate in a small group: of no error in 20 a bootstrap would say [0, 0]; this says [0, 0.16].

    Raises:
        ValueError: errors outside [0, n], no sample, a level outside (0, 1).
    """
    if not (n > 0 and 0 <= errors <= n):
        raise ValueError(f"{errors} errors in {n} samples is no rate")
    z2 = NormalDist().inv_cdf(0.5 + 0.5 * _checked_level(level)) ** 2
    rate = errors / n
    centre = (errors + 0.5 * z2) / (n + z2)
    half = math.sqrt(z2 * (n * rate * (1 - rate) + 0.25 * z2)) / (n + z2)
    # At the ends the bound is the rate itself, which rounding must not cross.
    return Interval(rate, 0.0 if errors == 0 else centre - half, 1.0 if errors == n else centre + half)


def _draws(
    is_real: NDArray[np.bool_],
    strata: ArrayLike | None,
    subjects: ArrayLike | None,
    samples: int,
    seed: int,
) -> Iterator[Floats]:
    """How often each sample counts in a replicate, [N] float64; `samples` times."""
    if samples < 1:
        raise ValueError(f"a bootstrap needs replicates; {samples} were asked for")
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
    """Units that lie in the same strata, together: they are what may stand for one another."""
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
        low, high = np.quantile([replicate[name] for replicate in replicates], [outside, 1.0 - outside])
        found[name] = Interval(at, min(at, float(low)), max(at, float(high)))
    return found


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not {level}")
    return level
