"""Intervals: of the right width and place, paired and by subject; Wilson's against his equation."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from cmfl_export import metrics
from cmfl_export.metrics.intervals import (
    Interval,
    bootstrap,
    most_errors,
    paired_differences,
    upper_bound,
    wilson,
)


def drawn(seed: int, size: int = 300, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(p_real, is_real): logits of two unit normals at +apart and -apart; the true D-EER is Phi(-apart)."""
    rng = np.random.default_rng(seed)
    is_real = np.arange(size) < size // 2
    return 1 / (1 + np.exp(-rng.normal(np.where(is_real, apart, -apart)))), is_real


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_value_is_the_metric_and_lies_within() -> None:
    p_real, is_real = drawn(0)
    found = bootstrap(p_real, is_real, 0.6, samples=50)
    assert {name: interval.value for name, interval in found.items()} == metrics.summary(p_real, is_real, 0.6)
    for name, (value, low, high) in found.items():
        assert low <= value <= high, name
        assert low < high, name


def test_seed_decides() -> None:
    data = *drawn(1), 0.5
    assert bootstrap(*data, samples=40, seed=3) == bootstrap(*data, samples=40, seed=3)
    assert bootstrap(*data, samples=40, seed=3) != bootstrap(*data, samples=40, seed=4)


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.83, 1.0), (0.5, 0.3, 0.7)])
def test_coverage(level: float, least: float, most: float) -> None:
    """Of 60 simulated studies, about the promised share has the truth within its interval."""
    phi = NormalDist().cdf
    truth = {
        "d_eer": phi(-1),
        "apcer": phi(-1),
        "bpcer": phi(-1),
        "auc": phi(math.sqrt(2)),
        "accuracy": phi(1),
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(60):
        found = bootstrap(*drawn(seed), 0.5, samples=200, seed=seed, level=level)
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    for name, count in held.items():
        assert least <= count / 60 <= most, name


def test_width_of_a_rate_is_binomial() -> None:
    """BPCER at a threshold is a mean of n outcomes: 3.92 standard errors between the bounds."""
    p_real, is_real = drawn(2, 4000)
    interval = bootstrap(p_real, is_real, 0.5, samples=600)["bpcer"]
    error = math.sqrt(interval.value * (1 - interval.value) / 2000)
    assert width(interval) == pytest.approx(3.92 * error, rel=0.12)
    assert (interval.low + interval.high) / 2 == pytest.approx(interval.value, abs=0.3 * error)


def test_level_widens() -> None:
    p_real, is_real = drawn(3)
    narrow, wide = (bootstrap(p_real, is_real, 0.5, samples=200, level=level)["auc"] for level in (0.5, 0.99))
    assert width(narrow) < 0.6 * width(wide)


def test_attack_types_are_drawn_apart() -> None:
    """One type always passes and the other never: their share, and so the APCER, is no matter of chance."""
    p_real = np.array([0.8] * 20 + [0.9] * 30 + [0.1] * 30)
    is_real = np.arange(80) < 20
    types = np.array([""] * 20 + ["passes"] * 30 + ["fails"] * 30)
    assert bootstrap(p_real, is_real, 0.5, strata=types, samples=100)["apcer"] == (0.5, 0.5, 0.5)
    assert width(bootstrap(p_real, is_real, 0.5, samples=100)["apcer"]) > 0.15


def test_classes_stay_apart_in_a_stratum_of_one_name() -> None:
    """A label that both classes share makes no common stratum: one sample of each is always drawn."""
    found = bootstrap([0.9, 0.1], [1, 0], 0.5, strata=["a", "a"], samples=50)
    assert found["d_eer"] == (0, 0, 0)
    assert found["auc"] == (1, 1, 1)


def test_copies_of_a_subject_are_no_evidence() -> None:
    """Five equal photographs of every subject, drawn by subject: exactly the intervals of one photograph."""
    p_real, is_real = drawn(4, 100)
    once = bootstrap(p_real, is_real, 0.5, samples=100)
    subjects = np.repeat(np.arange(100), 5)
    copies = np.repeat(p_real, 5), np.repeat(is_real, 5)
    by_subject = bootstrap(*copies, 0.5, subjects=subjects, samples=100)
    for name, interval in once.items():
        assert by_subject[name] == pytest.approx(interval, abs=1e-12), name
    by_image = bootstrap(*copies, 0.5, samples=100)
    assert width(by_image["bpcer"]) < 0.6 * width(once["bpcer"])


def test_subject_in_both_classes_is_one_unit() -> None:
    """Every subject is detected in both classes or in none: the two error rates rise and fall together."""
    hard = np.arange(60) % 4 == 0
    p_real = np.concatenate([np.where(hard, 0.4, 0.9), np.where(hard, 0.6, 0.1)])
    is_real = np.arange(120) < 60
    types = np.where(is_real, "", "generator")
    names = np.char.add("person ", np.tile(np.arange(60), 2).astype(str))
    found = bootstrap(p_real, is_real, 0.5, strata=types, subjects=names, samples=200)
    assert found["apcer"] == found["bpcer"]
    assert width(found["apcer"]) > 0.1
    apart = bootstrap(p_real, is_real, 0.5, strata=types, samples=200)
    assert width(apart["accuracy"]) < 0.85 * width(found["accuracy"])


@pytest.mark.parametrize("alone", [0, 1])
def test_no_draw_is_without_a_class(alone: int) -> None:
    """One subject in both classes and one in a single class: each stands only for its like."""
    found = bootstrap([0.9, 0.2, alone], [1, 0, alone], 0.5, subjects=["both", "both", "alone"], samples=50)
    assert found["auc"] == (1, 1, 1)


def test_interval_is_widened_to_its_value() -> None:
    """ECE of drawn samples is larger than that of the sample, in nearly every draw."""
    p_real = np.repeat((np.arange(15) + 0.5) / 15, 30)
    is_real = np.tile(np.arange(30), 15) < np.round(p_real * 30)
    found = bootstrap(p_real, is_real, 0.5, samples=100)["ece"]
    assert found.value < 0.02
    assert found.low == found.value
    assert found.high > 0.03


def test_equal_detectors_do_not_differ() -> None:
    p_real, is_real = drawn(5)
    found = paired_differences(p_real, p_real.copy(), is_real, (0.5, 0.5), samples=50)
    assert set(found.values()) == {(0, 0, 0)}


def test_difference_is_b_minus_a_each_at_its_threshold() -> None:
    (a, is_real), (b, _) = drawn(6), drawn(7, apart=1.6)
    before, after = metrics.summary(a, is_real, 0.4), metrics.summary(b, is_real, 0.7)
    found = paired_differences(a, b, is_real, (0.4, 0.7), samples=100)
    assert {name: interval.value for name, interval in found.items()} == {
        name: after[name] - before[name] for name in before
    }
    assert found["d_eer"].high < 0 < found["auc"].low
    assert all(low <= value <= high for value, low, high in found.values())


def test_pairing_cancels_what_is_hard_for_both() -> None:
    a, is_real = drawn(8, 600)
    b = np.clip(a + np.random.default_rng(0).normal(0, 0.01, 600), 0, 1)
    paired = paired_differences(a, b, is_real, (0.5, 0.5), samples=150)
    single = bootstrap(a, is_real, 0.5, samples=150)
    for name in ("auc", "bpcer", "brier"):
        assert width(paired[name]) < 0.5 * width(single[name]), name


def test_paired_strata_and_subjects() -> None:
    """The draws are those of `bootstrap`: against a detector of constant scores its own interval is left."""
    p_real, is_real = drawn(9, 120)
    constant = np.full(120, 0.5)
    strata, subjects = np.arange(120) % 3, np.arange(120) // 4
    options: dict[str, Any] = {"strata": strata, "subjects": subjects, "samples": 80, "seed": 5}
    alone = bootstrap(p_real, is_real, 0.5, **options)["auc"]
    difference = paired_differences(constant, p_real, is_real, (0.5, 0.5), **options)["auc"]
    assert [bound + 0.5 for bound in difference] == pytest.approx(list(alone))


@pytest.mark.parametrize(
    ("errors", "n", "low", "high"),
    [
        (0, 20, 0, 0.1611),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1),
        (1, 10, 0.0179, 0.4042),
        (0, 1, 0, 0.7935),
    ],
)
def test_wilson_by_hand(errors: int, n: int, low: float, high: float) -> None:
    """With z = 1.96: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)."""
    assert wilson(errors, n) == pytest.approx((errors / n, low, high), abs=5e-5)


@given(
    st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.9999)
)
def test_wilson_bounds_are_z_standard_errors_away(counts: tuple[int, int], level: float) -> None:
    """The definition: a bound is a rate from which the observed one is z of its own standard errors away."""
    errors, n = counts
    z = NormalDist().inv_cdf(0.5 + level / 2)
    value, *bounds = wilson(errors, n, level)
    assert 0 <= bounds[0] <= value <= bounds[1] <= 1
    for bound, outermost in zip(bounds, (0, 1), strict=True):
        if bound != outermost:
            assert (bound - value) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / n, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize(("errors", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_of_no_rate(errors: int, n: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        wilson(errors, n)


@pytest.mark.parametrize("level", [0, 1, -0.5, float("nan")])
def test_level_that_is_none(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson(1, 3, level)
    with pytest.raises(ValueError, match="level"):
        bootstrap([0.1, 0.9], [0, 1], 0.5, samples=2, level=level)


@pytest.mark.parametrize(
    ("p_real", "is_real", "options", "message"),
    [
        ([0.1, 0.9], [0, 1], {"samples": 0}, "replicates"),
        ([0.1, 0.9], [0, 1], {"strata": ["a"]}, "1 strata for 2 scores"),
        ([0.1, 0.9], [0, 1], {"subjects": ["a"]}, "1 subjects for 2 scores"),
        ([0.1, 0.9], [1, 1], {}, "both classes"),
        ([0.1, 1.9], [0, 1], {}, "probability"),
        ([0.1, float("nan")], [0, 1], {}, "finite"),
        ([0.1], [0, 1], {}, "1 scores for 2 labels"),
    ],
)
def test_refused(p_real: list[float], is_real: list[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(p_real, is_real, 0.5, **options)
    with pytest.raises(ValueError, match=message):
        paired_differences([0.2, 0.8], p_real, is_real, (0.5, 0.5), **options)


def test_the_upper_bound_is_that_of_the_binomial() -> None:
    """No error in n has the bound 1 - 0.05^(1/n); others are the quantile of a beta distribution."""
    assert upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert upper_bound(7, 7) == 1.0
    for errors, n in ((1, 30), (5, 100), (40, 1000)):
        assert upper_bound(errors, n) == pytest.approx(beta.ppf(0.95, errors + 1, n - errors))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 1.0])
def test_most_errors_is_the_last_count_whose_bound_keeps_the_rate(rate: float) -> None:
    for n in (1, 58, 59, 299):
        most = most_errors(n, rate)
        kept = [
            errors
            for errors in range(n + 1)
            if (beta.ppf(0.95, errors + 1, n - errors) if errors < n else 1.0) <= rate
        ]
        assert most == (max(kept) if kept else None)


def test_no_number_of_samples_shows_a_rate_of_zero() -> None:
    assert most_errors(100_000, 0.0) is None
