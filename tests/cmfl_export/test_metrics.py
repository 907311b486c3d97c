"""D-EER against cases counted by hand, a brute-force count, and what must not change it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmfl_export.metrics import d_eer


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
def test_labels_of_any_number_type(labels: object) -> None:
    assert d_eer(np.float32([0.9, 0.1]), labels).rate == 0


@pytest.mark.parametrize(
    ("p_real", "is_real", "message"),
    [
        ([0.1, 0.2], [1, 1], "2 real and 0 synthetic"),
        ([0.1, 0.2], [0, 0], "0 real and 2 synthetic"),
        ([], [], "0 real and 0 synthetic"),
        ([0.1, float("nan")], [1, 0], "finite"),
        ([0.1, float("inf")], [1, 0], "finite"),
        ([0.1, 0.2, 0.3], [1, 0], "3 scores for 2 labels"),
    ],
)
def test_refused(p_real: list[float], is_real: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        d_eer(p_real, is_real)
