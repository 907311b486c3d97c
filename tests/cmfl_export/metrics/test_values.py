"""Rates, areas and calibration: counted by hand, refused where they mean nothing, and fast."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cmfl_export import metrics
from tests.bounds import instructions

RATES = [metrics.apcer, metrics.bpcer, metrics.accuracy, metrics.summary]
WITHOUT_THRESHOLD = [
    metrics.d_eer,
    metrics.auc,
    metrics.average_precision,
    metrics.brier,
    metrics.ece,
    metrics.reliability,
    metrics.det,
    metrics.roc,
]
PROBABILITIES_ONLY: list[Callable[..., object]] = [metrics.brier, metrics.ece, metrics.reliability]


def calls() -> dict[str, Callable[..., object]]:
    """Every metric as a function of (p_real, is_real, weights)."""
    found: dict[str, Callable[..., object]] = {function.__name__: function for function in WITHOUT_THRESHOLD}
    for function in (*RATES, metrics.bpcer_at_apcer, metrics.apcer_at_bpcer):
        found[function.__name__] = lambda p, real, function=function, **more: function(p, real, 0.5, **more)
    found["apcer_by_attack"] = lambda p, real, **more: metrics.apcer_by_attack(
        p, real, ["a"] * len(p), 0.5, **more
    )
    return found


CALLS = calls()


def test_threshold_at_a_score_calls_it_real() -> None:
    """Real 0.2 0.5 0.5 0.9, synthetic 0.1 0.5 0.6."""
    data = [0.2, 0.5, 0.5, 0.9, 0.1, 0.5, 0.6], [1, 1, 1, 1, 0, 0, 0]
    assert metrics.apcer(*data, 0.5) == 2 / 3
    assert metrics.bpcer(*data, 0.5) == 1 / 4
    assert metrics.accuracy(*data, 0.5) == 4 / 7
    above = float(np.nextafter(0.5, 1))
    assert metrics.apcer(*data, above) == 1 / 3
    assert metrics.bpcer(*data, above) == 3 / 4
    assert metrics.accuracy(*data, above) == 3 / 7


@pytest.mark.parametrize(("threshold", "apcer", "bpcer"), [(-math.inf, 1, 0), (0.1, 1, 0), (math.inf, 0, 1)])
def test_thresholds_beyond_the_scores(threshold: float, apcer: float, bpcer: float) -> None:
    data = [0.2, 0.9, 0.1], [1, 1, 0]
    assert metrics.apcer(*data, threshold) == apcer
    assert metrics.bpcer(*data, threshold) == bpcer


@pytest.mark.parametrize(
    ("p_real", "is_real", "auc", "precision"),
    [
        pytest.param([0.8, 0.9, 0.1, 0.2], [1, 1, 0, 0], 1, 1, id="separated"),
        # Precision at 0.2, both real above: 2/4; at 0.1: never reached before the synthetic ones.
        pytest.param([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0, (1 / 3 + 2 / 4) / 2, id="reversed"),
        pytest.param([0.5, 0.5, 0.5], [1, 0, 0], 0.5, 1 / 3, id="all equal"),
        # Pairs: 0.9 > 0.6, 0.4 < 0.6. Precision 1 at 0.9 and 2/3 at 0.4.
        pytest.param([0.9, 0.4, 0.6], [1, 1, 0], 0.5, 5 / 6, id="one between"),
        # Pairs with 0.6: 1 and 1/2; with 0.5: 1 and 1. Precision 1 at 0.9, 2/3 at 0.6.
        pytest.param([0.9, 0.6, 0.6, 0.5], [1, 1, 0, 0], 3.5 / 4, 5 / 6, id="tied"),
    ],
)
def test_areas_by_hand(p_real: list[float], is_real: list[int], auc: float, precision: float) -> None:
    assert metrics.auc(p_real, is_real) == pytest.approx(auc, abs=1e-15)
    assert metrics.average_precision(p_real, is_real) == pytest.approx(precision, abs=1e-15)


def test_calibration_by_hand() -> None:
    """In two bins: 0.2 real, 0.4 synthetic, 0.5 synthetic (on the edge, so below); 0.9 real."""
    data = [0.2, 0.9, 0.4, 0.5], [1, 1, 0, 0]
    found = metrics.reliability(*data, bins=2)
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.count.tolist() == [3, 1]
    assert found.mean_score == pytest.approx([1.1 / 3, 0.9])
    assert found.share_real == pytest.approx([1 / 3, 1])
    assert metrics.ece(*data, bins=2) == pytest.approx((abs(1.1 - 1) + abs(0.9 - 1)) / 4)
    assert metrics.brier(*data) == pytest.approx((0.8**2 + 0.1**2 + 0.4**2 + 0.5**2) / 4)


def test_empty_bins_have_no_mean_and_do_not_count() -> None:
    found = metrics.reliability([0.0, 1.0], [0, 1])
    assert found.count.tolist() == [1, *[0] * 13, 1]
    assert np.isnan(found.mean_score[1:-1]).all()
    assert np.isnan(found.share_real[1:-1]).all()
    assert metrics.ece([0.0, 1.0], [0, 1]) == 0


def test_det_and_roc_by_hand() -> None:
    """Real 0.4 0.8, synthetic 0.4 0.6: a tie moves both rates at once."""
    data = [0.4, 0.8, 0.4, 0.6], [1, 1, 0, 0]
    curve = metrics.det(*data)
    assert curve.apcer.tolist() == [1, 0.5, 0, 0]
    assert curve.bpcer.tolist() == [0, 0.5, 0.5, 1]
    assert curve.threshold == pytest.approx([0.4, 0.5, 0.7, 0.9])
    falling = metrics.roc(*data)
    assert falling.fpr.tolist() == [0, 0, 0.5, 1]
    assert falling.tpr.tolist() == [0, 0.5, 0.5, 1]
    assert falling.threshold.tolist() == curve.threshold[::-1].tolist()


def test_attack_types_worst_first() -> None:
    p_real = [0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1, 0.2]
    is_real = [1, 1, 0, 0, 0, 0, 0, 0]
    types = ["", "x", "b", "b", "c", "a", "a", "c"]
    found = metrics.apcer_by_attack(p_real, is_real, types, 0.5)
    assert list(found.items()) == [("b", 1), ("a", 0.5), ("c", 0)]
    tied = metrics.apcer_by_attack([0.9, 0.9, 0.1], [0, 0, 1], ["z", "y", "x"], 0.5)
    assert list(tied) == ["y", "z"]
    assert metrics.apcer_by_attack(p_real, is_real, types, 0.5, weights=[1, 1, 0, 0, 1, 3, 1, 1]) == {
        "a": 0.75,
        "c": 0,
    }


@pytest.mark.parametrize(
    ("types", "is_real", "message"),
    [(["a"], [0, 1], "1 attack types for 2 scores"), (["a", "b"], [1, 1], "no synthetic sample")],
)
def test_attack_types_that_do_not_fit(types: list[str], is_real: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.apcer_by_attack([0.1, 0.9], is_real, types, 0.5)


def test_summary_is_the_single_metrics() -> None:
    rng = np.random.default_rng(0)
    is_real = rng.random(400) < 0.4
    p_real = np.round(rng.beta(np.where(is_real, 4, 2), 3), 2)
    data = p_real, is_real
    found = metrics.summary(*data, 0.55)
    names = "d_eer, d_eer_threshold, bpcer10, bpcer20, bpcer100, apcer, bpcer, auc, average_precision"
    assert ", ".join(found) == f"{names}, accuracy, ece, brier"
    assert (found["d_eer"], found["d_eer_threshold"]) == metrics.d_eer(*data)
    for name, limit in (("bpcer10", 0.1), ("bpcer20", 0.05), ("bpcer100", 0.01)):
        assert found[name] == metrics.bpcer_at_apcer(*data, limit).bpcer
    for name in ("apcer", "bpcer", "accuracy"):
        assert found[name] == pytest.approx(getattr(metrics, name)(*data, 0.55), abs=1e-15)
    for name in ("auc", "average_precision", "ece", "brier"):
        assert found[name] == pytest.approx(getattr(metrics, name)(*data), abs=1e-14)
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("p_real", "is_real", "weights", "message"),
    [
        ([0.1, 0.2, 0.3], [1, 0], None, "3 scores for 2 labels"),
        ([0.1, math.nan], [1, 0], None, "finite"),
        ([0.1, math.inf], [1, 0], None, "finite"),
        ([-math.inf, 0.1], [1, 0], None, "finite"),
        ([0.1, 0.2], [1, 2], None, "label"),
        ([0.1, 0.2], [1, math.nan], None, "label"),
        ([0.1, 0.2], [1, 0], [1], "1 weights for 2 scores"),
        ([0.1, 0.2], [1, 0], [1, -1], "weight"),
        ([0.1, 0.2], [1, 0], [1, math.nan], "weight"),
        ([0.1, 0.2], [1, 0], [0, 0], "sample|both classes"),
        ([], [], None, "sample|both classes"),
    ],
)
def test_refused(
    name: str, p_real: list[float], is_real: list[float], weights: list[float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CALLS[name](p_real, is_real, weights=weights)


ONE_CLASS_IS_ENOUGH = {
    "accuracy": "01",
    "brier": "01",
    "ece": "01",
    "reliability": "01",
    "apcer": "0",
    "bpcer": "1",
}


@pytest.mark.parametrize("name", [name for name in CALLS if name != "apcer_by_attack"])
@pytest.mark.parametrize("label", ["0", "1"])
def test_one_class(name: str, label: str) -> None:
    """Rates of one class need that class alone; what compares the classes needs both, of weight above 0."""
    one_class = [0.3, 0.7], [int(label)] * 2
    weightless = [0.3, 0.7, 0.9], [int(label)] * 2 + [1 - int(label)]
    if label in ONE_CLASS_IS_ENOUGH.get(name, ""):
        expected = CALLS[name](*one_class)
        assert repr(CALLS[name](*weightless, weights=[1, 1, 0])) == repr(expected)
    else:
        for data, weights in ((one_class, None), (weightless, [1, 1, 0])):
            with pytest.raises(ValueError, match=r"sample|both classes"):
                CALLS[name](*data, weights=weights)


@pytest.mark.parametrize("function", RATES)
def test_threshold_that_is_no_number(function: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        function([0.1, 0.9], [0, 1], math.nan)


@pytest.mark.parametrize("score", [-0.01, 1.01])
def test_scores_that_are_no_probabilities(score: float) -> None:
    data = [score, 0.5], [0, 1]
    for function in PROBABILITIES_ONLY:
        with pytest.raises(ValueError, match="probability"):
            function(*data)
    with pytest.raises(ValueError, match="probability"):
        metrics.summary(*data, 0.5)
    assert metrics.auc(*data) in (0, 1)


def test_bins_there_must_be() -> None:
    with pytest.raises(ValueError, match="bin"):
        metrics.ece([0.1, 0.9], [0, 1], bins=0)


@pytest.mark.parametrize("name", CALLS)
def test_no_metric_loops_over_scores(name: str) -> None:
    """Some thousand instructions, whatever the number of scores."""
    rng = np.random.default_rng(0)
    p_real, is_real = rng.random(100_000), rng.random(100_000) < 0.5
    CALLS[name](p_real, is_real)  # imports what is imported on first use
    assert 0 < instructions(lambda: CALLS[name](p_real, is_real)) < 10_000
