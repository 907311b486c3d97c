"""D-EER, operating points and DET: counted by hand, by brute force, and what must not change them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from cmfl_export.metrics.detection import apcer_at_bpcer, bpcer_at_apcer, d_eer, det


def errors_at(threshold: float, real: list[float], attacks: list[float]) -> tuple[Fraction, Fraction]:
    """(APCER, BPCER) by counting."""
    apcer = Fraction(sum(score >= threshold for score in attacks), len(attacks))
    bpcer = Fraction(sum(score < threshold for score in real), len(real))
    return apcer, bpcer


def brute_force(real: list[float], attacks: list[float]) -> Fraction:
    """The mean of both rates where they are nearest, over every threshold that decides differently."""
    rates = [errors_at(threshold, real, attacks) for threshold in sorted({*real, *attacks})]
    apcer, bpcer = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
    return (apcer + bpcer) / 2


def both(real: list[float], attacks: list[float]) -> tuple[list[float], list[int]]:
    return [*real, *attacks], [1] * len(real) + [0] * len(attacks)


CASES: dict[str, tuple[list[float], list[float], float]] = {
    "perfect": ([0.8, 0.9], [0.1, 0.2], 0.0),
    "reversed": ([0.1, 0.2], [0.8, 0.9], 1.0),
    "one of four wrong on each side": ([0.6, 0.7, 0.8, 0.3], [0.1, 0.2, 0.4, 0.65], 0.25),
    "all scores equal": ([0.5, 0.5, 0.5], [0.5, 0.5], 0.5),
    "two samples": ([0.7], [0.3], 0.0),
    # At 0.5 all is real (1, 0), at 0.9 APCER 0 and BPCER 1/2: the differences are 1 and 1/2.
    "ties between the classes": ([0.5, 0.9], [0.5, 0.5], 0.25),
    # Sorted a r a r r: thresholds between the 2nd and 3rd give APCER 1/2 and BPCER 1/3.
    "unequal classes": ([0.2, 0.4, 0.5], [0.1, 0.3], (1 / 2 + 1 / 3) / 2),
    # The two nearest thresholds, 0.4 (1, 1/2) and 0.6 (1/2, 1): the lower is taken.
    "two thresholds as near": ([0.2, 0.4], [0.4, 0.6], 0.75),
}


@pytest.mark.parametrize("name", CASES)
def test_counted_by_hand(name: str) -> None:
    real, attacks, rate = CASES[name]
    assert d_eer(*both(real, attacks)).rate == pytest.approx(rate, abs=1e-15)


def test_threshold_of_separated_classes_keeps_clear_of_both() -> None:
    assert d_eer(*both([0.8, 0.9], [0.1, 0.2])).threshold == pytest.approx(0.5)


# Few values, so that there are ties, and neighbouring floats, between which there is no halfway.
VALUES = [0.0, 5e-324, 0.1, 0.3, 0.5, float(np.nextafter(0.5, 1)), 0.7, 1.0, -3.0, 1e17, -1e308, 1e308]
scores = st.lists(st.sampled_from(VALUES) | st.floats(0, 1), min_size=1, max_size=12)


@settings(deadline=None, max_examples=300)
@given(real=scores, attacks=scores)
def test_brute_force(real: list[float], attacks: list[float]) -> None:
    rate, threshold = d_eer(*both(real, attacks))
    assert rate == pytest.approx(float(brute_force(real, attacks)), abs=1e-12)
    apcer, bpcer = errors_at(threshold, real, attacks)
    assert float(apcer + bpcer) / 2 == pytest.approx(rate, abs=1e-12)
    assert min(*real, *attacks) <= threshold <= max(*real, *attacks)


@settings(deadline=None, max_examples=50)
@given(real=scores, attacks=scores, seed=st.integers(0, 99))
def test_order_does_not_matter(real: list[float], attacks: list[float], seed: int) -> None:
    p_real, is_real = map(np.array, both(real, attacks))
    order = np.random.default_rng(seed).permutation(len(p_real))
    assert d_eer(p_real[order], is_real[order]) == d_eer(p_real, is_real)


@pytest.mark.parametrize(
    "monotone", [np.exp, np.cbrt, lambda x: 3 * x - 7, lambda x: x**3], ids=["exp", "cbrt", "affine", "cube"]
)
def test_monotone_maps_do_not_change_the_rate(monotone: Callable[[np.ndarray], np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    p_real = np.concatenate([rng.normal(0.6, 0.3, 500), rng.normal(0.4, 0.3, 300)])
    is_real = np.arange(800) < 500
    rate = d_eer(p_real, is_real).rate
    assert 0.3 < rate < 0.45
    assert d_eer(monotone(p_real), is_real).rate == rate


def test_exchanging_the_classes_and_the_sign_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    p_real, is_real = rng.random(301), rng.random(301) < 0.4
    assert d_eer(-p_real, ~is_real).rate == pytest.approx(d_eer(p_real, is_real).rate, abs=1 / 100)


def test_normal_distributions() -> None:
    """Two unit normals two apart cross at Phi(-1) = 0.1587."""
    rng = np.random.default_rng(2)
    p_real = np.concatenate([rng.normal(1, 1, 200_000), rng.normal(-1, 1, 200_000)]).astype(np.float32)
    rate, threshold = d_eer(p_real, np.arange(400_000) < 200_000)
    assert rate == pytest.approx(0.1587, abs=0.002)
    assert threshold == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("labels", [[True, False], [1, 0], [1.0, 0.0], np.array([1, 0], np.uint8)])
def test_labels_of_any_number_type(labels: ArrayLike) -> None:
    assert d_eer(np.array([0.9, 0.1], np.float32), labels).rate == 0


# (real, attacks, limit of the APCER, threshold, APCER, BPCER)
OPERATING_POINTS: dict[str, tuple[list[float], list[float], float, float, float, float]] = {
    "separated: no APCER is spent that buys nothing": ([0.8, 0.9], [0.1, 0.2], 0.5, 0.5, 0, 0),
    "separated, limit 0": ([0.8, 0.9], [0.1, 0.2], 0, 0.5, 0, 0),
    "reversed: no APCER is spent that buys nothing": ([0.1, 0.2], [0.6, 0.8], 0.5, 0.9, 0, 1),
    "neighbouring floats": ([float(np.nextafter(0.5, 1))], [0.5], 0, float(np.nextafter(0.5, 1)), 0, 0),
    "the limit itself is allowed": ([0.5, 0.7], [0.1] * 9 + [0.6], 0.1, 0.3, 0.1, 0),
    "just below the limit": ([0.5, 0.7], [0.1] * 9 + [0.6], 0.0999, 0.65, 0, 0.5),
    "everything may pass": ([0.2, 0.4], [0.3, 0.1], 1, 0.15, 0.5, 0),
    "lowest score real, everything may pass": ([0.1, 0.4], [0.3, 0.2], 1, 0.1, 1, 0),
    "highest score synthetic": ([0.3, 0.6], [0.2, 0.9], 0, 0.95, 0, 1),
    "highest score synthetic, and 1": ([0.3, 0.6], [0.2, 1.0], 0, float(np.nextafter(1, 2)), 0, 1),
    "all scores equal": ([0.5, 0.5], [0.5], 0.9, 0.75, 0, 1),
    "real and synthetic tied at the top": ([0.5, 0.9], [0.9, 0.1], 0.4, 0.95, 0, 1),
    "one sample each, reversed": ([0.1], [0.3], 0.1, 0.65, 0, 1),
    "beyond probabilities": ([-4.0, 3.0], [-5.0, 7.0], 0, float(np.nextafter(7, 8)), 0, 1),
}


@pytest.mark.parametrize("name", OPERATING_POINTS)
def test_operating_point_by_hand(name: str) -> None:
    real, attacks, limit, *expected = OPERATING_POINTS[name]
    assert bpcer_at_apcer(*both(real, attacks), limit) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("name", OPERATING_POINTS)
def test_operating_point_of_the_other_error(name: str) -> None:
    """With classes and signs exchanged APCER is BPCER, and nothing but the end points is asymmetric."""
    real, attacks, limit, threshold, apcer, bpcer = OPERATING_POINTS[name]
    mirrored = both([-score for score in attacks], [-score for score in real])
    point = apcer_at_bpcer(*mirrored, limit)
    assert (point.apcer, point.bpcer) == pytest.approx((bpcer, apcer), abs=1e-15)
    if min(real + attacks) < threshold < max(real + attacks):
        assert point.threshold == pytest.approx(-threshold, abs=1e-15)


@settings(deadline=None, max_examples=300)
@given(real=scores, attacks=scores, limit=st.sampled_from([0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 1.0]))
def test_operating_points_by_brute_force(real: list[float], attacks: list[float], limit: float) -> None:
    candidates = [*{*real, *attacks}, np.inf]
    rates = [errors_at(threshold, real, attacks) for threshold in candidates]
    # A limit such as 1/3 means the share that is the nearest float to it.
    least_bpcer, its_apcer = min((bpcer, apcer) for apcer, bpcer in rates if float(apcer) <= limit)
    threshold, apcer, bpcer = bpcer_at_apcer(*both(real, attacks), limit)
    assert (apcer, bpcer) == (float(its_apcer), float(least_bpcer))
    assert tuple(map(float, errors_at(threshold, real, attacks))) == (apcer, bpcer)
    assert np.isfinite(threshold)

    least_apcer, its_bpcer = min(pair for pair in rates if float(pair[1]) <= limit)
    threshold, apcer, bpcer = apcer_at_bpcer(*both(real, attacks), limit)
    assert (apcer, bpcer) == (float(least_apcer), float(its_bpcer))
    assert tuple(map(float, errors_at(threshold, real, attacks))) == (apcer, bpcer)


@settings(deadline=None, max_examples=200)
@given(real=scores, attacks=scores)
def test_det_is_every_way_to_decide(real: list[float], attacks: list[float]) -> None:
    curve = det(*both(real, attacks))
    assert (np.diff(curve.threshold) > 0).all()
    rates = list(zip(curve.apcer.tolist(), curve.bpcer.tolist(), strict=True))
    # The thresholds give the rates, no pair is missing, and none is there twice.
    assert rates == [
        tuple(map(float, errors_at(threshold, real, attacks))) for threshold in curve.threshold.tolist()
    ]
    assert len(set(rates)) == len(rates) == len({*real, *attacks}) + 1
    assert (rates[0], rates[-1]) == ((1, 0), (0, 1))


def test_thresholds_keep_clear_of_the_scores() -> None:
    """A score that another machine computes a little differently is decided alike."""
    rng = np.random.default_rng(3)
    p_real, is_real = rng.permutation(200) / 200, rng.random(200) < 0.5
    for point in (bpcer_at_apcer(p_real, is_real, 0.1), apcer_at_bpcer(p_real, is_real, 0.1)):
        assert np.abs(p_real - point.threshold).min() == pytest.approx(1 / 400)


def test_no_finite_threshold_above_the_largest_float() -> None:
    largest = float(np.finfo(np.float64).max)
    assert bpcer_at_apcer([0.5, largest], [1, 0], 0.1) == (np.inf, 0, 1)


@pytest.mark.parametrize("limit", [-0.01, 1.01, float("nan")])
def test_limit_that_is_no_rate(limit: float) -> None:
    for choose in (bpcer_at_apcer, apcer_at_bpcer):
        with pytest.raises(ValueError, match="rate"):
            choose([0.1, 0.9], [0, 1], limit)
