"""The risk-coverage curve against its definition, sample by sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmfl_export.metrics import RiskRanking, risk_coverage

Rows = list[tuple[float, bool, int]]


def distance(p: float, threshold: float) -> float:
    def logit(x: float) -> float:
        if x in (0.0, 1.0):
            return 36.0 * (2 * x - 1)
        return min(max(math.log(x) - math.log1p(-x), -36.0), 36.0)

    return abs(logit(p) - logit(threshold))


def brute_force(rows: Rows, threshold: float) -> tuple[list[tuple[float, float]], dict[str, float]]:
    """The points of the curve and its figures, from copies of the samples."""
    copies = [(distance(p, threshold), (p >= threshold) != real) for p, real, n in rows for _ in range(n)]

    def answered(least: float) -> list[bool]:
        return [wrong for far, wrong in copies if far >= least]

    points = []
    for least in sorted({far for far, _ in copies}, reverse=True):
        errors = answered(least)
        points.append((len(errors) / len(copies), sum(errors) / len(errors)))
    risks = [sum(answered(far)) / len(answered(far)) for far, _ in copies]
    figures = {"aurc": sum(risks) / len(risks)}
    for name, share in (("risk_at_80", 0.8), ("risk_at_90", 0.9), ("risk_at_100", 1.0)):
        figures[name] = next(risk for coverage, risk in points if coverage >= share - 1e-12)
    return points, figures


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9, 1.0]),
)
def test_is_its_definition(rows: Rows, threshold: float) -> None:
    if not any(count for _, _, count in rows):
        rows[0] = (*rows[0][:2], 1)
    p, real, counts = map(np.array, zip(*rows, strict=True))
    ranking = RiskRanking(p, real, threshold)
    points, figures = brute_force(rows, threshold)
    curve = ranking.curve(counts)
    assert curve.coverage.tolist() == pytest.approx([coverage for coverage, _ in points])
    assert curve.risk.tolist() == pytest.approx([risk for _, risk in points])
    assert ranking.figures(counts) == pytest.approx(figures)
    # Weights are copies.
    copied = risk_coverage(np.repeat(p, counts), np.repeat(real, counts), threshold)
    np.testing.assert_allclose(copied.risk, curve.risk)


def test_by_hand() -> None:
    """At 0.5 the error at 0.6 is the least sure, so that all others have no error before it."""
    found = RiskRanking([0.99, 0.9, 0.05, 0.2, 0.6], [True, True, False, False, False], 0.5)
    assert found.figures() == pytest.approx(
        {"aurc": 0.2 / 5, "risk_at_80": 0.0, "risk_at_90": 0.2, "risk_at_100": 0.2}
    )


def test_both_sides_of_any_threshold_are_measured_alike() -> None:
    """The odds of 0.56 are eleven times those of 0.1, and these eleven times those of 0.01."""
    curve = risk_coverage([0.56, 0.01, 0.2], [True, False, True], 0.1)
    assert curve.distance == pytest.approx([2.438, 2.398, 0.811], abs=1e-3)


def test_refuses_what_is_no_probability_or_no_sample() -> None:
    with pytest.raises(ValueError, match="not a probability"):
        RiskRanking([1.5], [True], 0.5)
    with pytest.raises(ValueError, match="no sample"):
        RiskRanking([0.5], [True], 0.5).curve([0.0])
