"""Rates of a detector that may stay silent, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmfl_export.metrics import bootstrap_of, response_rates

#           4 attacks                          | 5 bona fide images
REAL = np.array([1, 0, 0, 0, 1, 1, 0, 0, 0], bool)
SYNTHETIC = np.array([0, 1, 1, 0, 0, 0, 1, 0, 0], bool)
IS_REAL = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], bool)


def test_by_hand() -> None:
    assert response_rates(REAL, SYNTHETIC, IS_REAL) == pytest.approx(
        {
            "apnrr": 1 / 4,
            "bpnrr": 2 / 5,
            "answered": 6 / 9,
            "apcer": 1 / 3,
            "bpcer": 1 / 3,
            "attacks_called_real": 1 / 4,
            "real_called_synthetic": 1 / 5,
        }
    )


def test_weights_are_copies() -> None:
    counts = np.array([2, 1, 0, 3, 1, 1, 2, 0, 1])
    copied = [np.repeat(values, counts) for values in (REAL, SYNTHETIC, IS_REAL)]
    found = response_rates(REAL, SYNTHETIC, IS_REAL, counts.astype(float))
    assert found == pytest.approx(response_rates(*copied))


def test_a_rate_of_no_image_does_not_exist() -> None:
    silent = np.zeros(9, bool)
    found = response_rates(silent, silent, IS_REAL)
    assert (found["apnrr"], found["bpnrr"], found["answered"]) == (1.0, 1.0, 0.0)
    assert math.isnan(found["apcer"])
    assert math.isnan(found["bpcer"])


def test_the_bootstrap_leaves_out_replicates_without_the_rate() -> None:
    """Of the attacks only one is answered, and it is drawn in about two of three replicates."""
    real, synthetic = REAL & IS_REAL, SYNTHETIC & IS_REAL
    real[0] = True
    found = bootstrap_of(lambda weights: response_rates(real, synthetic, IS_REAL, weights), IS_REAL)
    assert found["apcer"] == (1.0, 1.0, 1.0)
    assert found["apnrr"].low < 0.75 < found["apnrr"].high
    silent = np.zeros(9, bool)
    none = bootstrap_of(lambda weights: response_rates(silent, silent, IS_REAL, weights), IS_REAL, samples=5)
    assert all(math.isnan(value) for value in none["apcer"])
