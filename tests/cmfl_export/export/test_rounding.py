"""Weights rounded together: closer than each on its own, and safe on every CPU."""

from __future__ import annotations

import numpy as np
import pytest

from cmfl_export.export.rounding import MOST, round_weights
from cmfl_export.runtime.portability import saturating_pairs

SHAPES = [(8, 40, 1, 1), (6, 12, 3, 3), (5, 3, 7, 7), (3, 1, 1, 1), (2, 2, 1, 1)]


def inputs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Correlated ones, as those of a convolution are: [n, K]."""
    mixed: np.ndarray = rng.normal(size=(6 * count, count)) @ rng.normal(size=(count, count)) / np.sqrt(count)
    return mixed.clip(0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", ["normal", "equal"])
def test_what_a_convolution_gives_is_kept(shape: tuple[int, ...], spread: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=shape) if spread == "normal" else rng.choice([0.5, 0.49], shape)
    seen = inputs(int(np.prod(shape[1:])), rng)
    integers, scale = round_weights(
        weight, np.cov(seen, rowvar=False, bias=True).reshape((seen.shape[1],) * 2)
    )
    assert integers.dtype == np.int8
    assert integers.shape == shape
    assert np.abs(integers.astype(int)).max() <= MOST
    assert saturating_pairs(integers) == 0

    def error(kept: np.ndarray) -> float:
        given = (seen - seen.mean(axis=0)) @ (weight - kept).reshape(len(weight), -1).T
        return float(np.sqrt((given**2).mean()))

    whole = float(np.sqrt((((seen - seen.mean(axis=0)) @ weight.reshape(len(weight), -1).T) ** 2).mean()))
    assert error(integers * scale[:, None, None, None]) < 0.01 * whole
    if spread == "normal" and weight[0].size > 30:
        # Seven bits each are the plain way to be safe on every CPU.
        plain = np.abs(weight).max((1, 2, 3), keepdims=True) / 64
        assert error(integers * scale[:, None, None, None]) < 0.7 * error(np.rint(weight / plain) * plain)


def test_weights_and_inputs_of_nothing() -> None:
    weight = np.zeros((2, 4, 1, 1))
    weight[1] = 1.0
    integers, scale = round_weights(weight, np.zeros((4, 4)))
    assert not integers[0].any()
    np.testing.assert_allclose(integers[1] * scale[1], 1.0, rtol=0.02)
