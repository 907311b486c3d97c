"""Differences: exact sums, quantiles to two percent, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from cmfl_export.export.differences import Differences, or_none


def test_quantiles_to_two_percent() -> None:
    rng = np.random.default_rng(0)
    parts = [10 ** rng.uniform(-8, -2, 5000) for _ in range(4)]
    differences = Differences()
    for part in parts:
        differences.add(part, np.zeros(5000))
    values = np.concatenate(parts)
    assert differences.largest == values.max()
    assert differences.mean == pytest.approx(values.mean())
    assert differences.quantile(0.5) == pytest.approx(np.median(values), rel=0.025)
    assert differences.quantile(0.999) == pytest.approx(np.percentile(values, 99.9), rel=0.025)


def test_decisions() -> None:
    differences = Differences()
    assert differences.flips is None
    differences.add_decisions(np.array([True, False]), np.array([True, True]))
    differences.add_decisions(np.array([False]), np.array([True]))
    assert differences.flips == 2


def test_nothing_added() -> None:
    assert (Differences().mean, Differences().largest) == (0.0, 0.0)


def test_memory_does_not_grow() -> None:
    differences = Differences()
    size = differences.histogram.nbytes
    for _ in range(3):
        differences.add(np.zeros(200_000, np.float32), np.zeros(200_000))
    assert differences.histogram.nbytes == size < 10_000
    assert differences.count == 600_000


def test_or_none() -> None:
    assert [or_none(value) for value in (float("nan"), float("inf"), 0.5, "nan", None)] == [
        None,
        None,
        0.5,
        "nan",
        None,
    ]
