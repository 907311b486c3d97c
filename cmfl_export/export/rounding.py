"""Rounds the weights of a convolution to 8-bit integers that every CPU multiplies exactly (`portability`).

Weights are rounded one by one, and those still to come make up for the loss, as far as the inputs of the
convolution are correlated (Frantar et al., GPTQ, ICLR 2023). The bound on pairs of neighbours limits a weight
as its 8 bits do, so later weights make up for most of that loss too.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..runtime import MOST_OF_A_PAIR, layouts

Floats = NDArray[np.float64]

MOST = 127
# The share of the 127 levels that the largest weight of a channel uses: less leaves its neighbours more room,
# but rounds more coarsely. Each channel takes the share that loses least.
FILLINGS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
DAMPING = 0.01  # share of the mean variance added to each variance, so that the covariance can be inverted
_BLOCK = 64


def round_weights(weight: Floats, covariance: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Returns integers and scales that change the output of a convolution as little as possible.

    Args:
        weight: [O, I, H, W].
        covariance: of the convolution's inputs, [I * H * W, I * H * W].

    Returns:
        int8 [O, I, H, W] without saturating pairs, and the scale of each output channel, [O].
    """
    flat = weight.reshape(len(weight), -1)
    channels, count = flat.shape
    beside = _neighbours(weight.shape)
    variance = max(float(np.trace(covariance)) / count, 1e-12)
    damped = covariance + DAMPING * variance * np.eye(count)
    largest = np.maximum(np.abs(flat).max(axis=1), 1e-12)
    # All fillings at once, side by side: [K, fillings * O].
    scale = np.concatenate([largest / (MOST * filling) for filling in FILLINGS])
    values = np.tile(flat.T, len(FILLINGS)) / scale
    integers = _rounded(values, damped, beside)
    lost = (values - integers) * scale
    errors = (lost * (damped @ lost)).sum(axis=0).reshape(len(FILLINGS), channels)
    best = errors.argmin(axis=0) * channels + np.arange(channels)
    return integers[:, best].T.astype(np.int8).reshape(weight.shape), scale[best]


def _neighbours(shape: tuple[int, ...]) -> list[list[int]]:
    """Returns, for each place in the flattened [I, H, W], the places beside it in any kernel layout."""
    places = np.arange(np.prod(shape[1:])).reshape(1, *shape[1:])
    beside: list[set[int]] = [set() for _ in range(places.size)]
    for order in layouts(places):
        for one, other in pairwise(order[0].tolist()):
            beside[one].add(other)
            beside[other].add(one)
    return [sorted(near) for near in beside]


def _rounded(values: Floats, covariance: Floats, beside: list[list[int]]) -> NDArray[np.int16]:
    """Rounds values in units of their scale, [K, N]."""
    # Weights whose inputs vary most come first, while most others are left to make up for them.
    order = np.argsort(-np.diag(covariance), kind="stable")
    spread = _spread(covariance[np.ix_(order, order)])
    rest = values[order]
    integers = np.zeros(values.shape, np.int16)
    for start in range(0, len(order), _BLOCK):
        end = min(start + _BLOCK, len(order))
        losses = np.zeros((end - start, values.shape[1]))
        for place in range(start, end):
            near = integers[beside[order[place]]]
            top = np.minimum(MOST, MOST_OF_A_PAIR - near.max(axis=0, initial=0))
            bottom = -np.minimum(MOST, MOST_OF_A_PAIR + near.min(axis=0, initial=0))
            integers[order[place]] = np.clip(np.rint(rest[place]), bottom, top)
            loss = losses[place - start] = rest[place] - integers[order[place]]
            rest[place + 1 : end] -= spread[place, place + 1 : end, None] * loss
        rest[end:] -= spread[start:end, end:].T @ losses
    return integers


def _spread(covariance: Floats) -> Floats:
    """Returns how the loss of one weight (a row) is spread over those after it: an upper triangle.

    The rows, divided by their diagonal, of U with U' U the inverse of the covariance.
    """
    from scipy.linalg.lapack import dtrtri

    # The factor of the reversed matrix, reversed, is R with R R' the covariance; U is its inverse.
    factor = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    inverse: Floats = dtrtri(factor, lower=0)[0]
    return np.triu(inverse) / np.diag(inverse)[:, None]
