"""Metrics against scikit-learn, and weights against copies of the samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from cmfl_export import metrics

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def weighted(draw: st.DrawFn, weights: st.SearchStrategy[float]) -> Data:
    """(p_real, is_real, weights): up to 30 samples, many tied; each class has one that counts."""
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
    rows = draw(st.lists(st.tuples(score, st.booleans(), weights), max_size=28))
    rows += [(draw(score), True, 1), (draw(score), False, 2)]
    p_real, is_real, counts = map(np.array, zip(*rows, strict=True))
    return p_real, is_real, counts.astype(float)


@settings(deadline=None, max_examples=200)
@given(weighted(st.sampled_from([0.0, 1.0, 3.0, 0.1]) | st.floats(1e-3, 10)))
def test_scikit_learn(data: Data) -> None:
    p_real, is_real, weights = data
    for counts in (None, weights):
        given_weights = {"sample_weight": counts}
        ours = {"weights": counts}
        close: dict[str, Any] = {"rel": 1e-9, "abs": 1e-9}
        assert metrics.auc(p_real, is_real, **ours) == pytest.approx(
            sk.roc_auc_score(is_real, p_real, **given_weights), **close
        )
        assert metrics.average_precision(p_real, is_real, **ours) == pytest.approx(
            sk.average_precision_score(is_real, p_real, **given_weights), **close
        )
        assert metrics.brier(p_real, is_real, **ours) == pytest.approx(
            sk.brier_score_loss(is_real, p_real, **given_weights), **close
        )
        for threshold in (0.25, 0.6):
            called_real = p_real >= threshold
            assert metrics.accuracy(p_real, is_real, threshold, **ours) == pytest.approx(
                sk.accuracy_score(is_real, called_real, **given_weights), **close
            )
            assert 1 - metrics.bpcer(p_real, is_real, threshold, **ours) == pytest.approx(
                sk.recall_score(is_real, called_real, **given_weights), **close
            )
            assert 1 - metrics.apcer(p_real, is_real, threshold, **ours) == pytest.approx(
                sk.recall_score(~is_real, ~called_real, **given_weights), **close
            )


@settings(deadline=None, max_examples=100)
@given(weighted(st.just(1.0)))
def test_curves_of_scikit_learn(data: Data) -> None:
    p_real, is_real, _ = data
    fpr, tpr, _ = sk.roc_curve(is_real, p_real, drop_intermediate=False)
    ours = metrics.roc(p_real, is_real)
    assert ours.fpr == pytest.approx(fpr, abs=1e-12)
    assert ours.tpr == pytest.approx(tpr, abs=1e-12)

    share_real, mean_score = calibration_curve(is_real, p_real, n_bins=15)
    bins = metrics.reliability(p_real, is_real)
    filled = bins.count > 0
    assert bins.share_real[filled] == pytest.approx(share_real, abs=1e-12)
    assert bins.mean_score[filled] == pytest.approx(mean_score, abs=1e-12)
    assert bins.count.sum() == p_real.size


@settings(deadline=None, max_examples=200)
@given(weighted(st.sampled_from([0.0, 1.0, 2.0, 5.0])), st.sampled_from([0.0, 0.25, 0.4, 0.5, 1.0]))
def test_a_whole_weight_is_so_many_copies(data: Data, at: float) -> None:
    p_real, is_real, weights = data
    copies = np.repeat(np.arange(p_real.size), weights.astype(int))
    pairs: list[tuple[tuple[np.ndarray, np.ndarray], dict[str, np.ndarray]]] = [
        ((p_real, is_real), {"weights": weights}),
        ((p_real[copies], is_real[copies]), {}),
    ]

    functions: tuple[Callable[..., Any], ...] = (
        metrics.summary,
        metrics.bpcer_at_apcer,
        metrics.apcer_at_bpcer,
    )
    for function in functions:
        weighted_values, copied_values = (function(*scores, at, **more) for scores, more in pairs)
        if isinstance(weighted_values, dict):
            weighted_values, copied_values = list(weighted_values.values()), list(copied_values.values())
        assert weighted_values == pytest.approx(copied_values, abs=1e-12)
    curves: tuple[Callable[..., Any], ...] = (metrics.det, metrics.roc)
    for curve in curves:
        for weighted_values, copied_values in zip(
            *(curve(*scores, **more) for scores, more in pairs), strict=True
        ):
            assert np.array_equal(weighted_values, copied_values)
    reliability: Callable[..., metrics.Reliability] = metrics.reliability
    of_weights, of_copies = (astuple(reliability(*scores, **more)) for scores, more in pairs)
    for weighted_values, copied_values in zip(of_weights, of_copies, strict=True):
        assert weighted_values == pytest.approx(copied_values, abs=1e-12, nan_ok=True)
