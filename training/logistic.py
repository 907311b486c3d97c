"""Logistic regression on embeddings: balanced, standardised, with an L2 penalty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols import Sample

# A number of an embedding (0 to 1) that varies by less says nothing; its weight would only magnify rounding.
LEAST_DEVIATION = 1e-3

Matrix = NDArray[np.float64]


class Linear(NamedTuple):
    """A score of P(real) before its sigmoid: `x @ weight + bias`."""

    weight: Matrix  # [D]
    bias: float

    def __call__(self, x: Matrix) -> Matrix:
        score: Matrix = x @ self.weight + self.bias
        return score


class Problem:
    """The samples that a regression is fitted to: embeddings [N, D], one a sample.

    Each class has the same weight, and in it each group (an attack or the photographs, by folder), so that
    neither a frequent generator nor the largest set of photographs decides alone.
    """

    def __init__(self, x: Matrix, samples: Sequence[Sample]) -> None:
        self.mean = x.mean(axis=0)
        self.deviation = np.maximum(x.std(axis=0), LEAST_DEVIATION)
        self.x = (x - self.mean) / self.deviation
        self.sign = np.array([1.0 if sample.is_real else -1.0 for sample in samples])
        self.share = _shares(samples)
        self._start = np.zeros(x.shape[1] + 1)

    def fit(self, c: float) -> Linear:
        """The regression for one C, which weighs the data against the penalty as in scikit-learn.

        The standardisation is folded into its weights. Fits for rising C are quickest one after the other.
        """
        from scipy.optimize import minimize

        found = minimize(
            self._loss,
            self._start,
            (1.0 / (c * len(self.x)),),
            "L-BFGS-B",
            jac=True,
            options={"maxiter": 2000},
        )
        self._start = found.x
        weight = found.x[:-1] / self.deviation
        return Linear(weight, float(found.x[-1] - weight @ self.mean))

    def _loss(self, parameters: Matrix, penalty: float) -> tuple[float, Matrix]:
        """Loss and gradient."""
        weight, bias = parameters[:-1], parameters[-1]
        margin = self.sign * (self.x @ weight + bias)
        loss = self.share @ np.logaddexp(0.0, -margin) + 0.5 * penalty * weight @ weight
        slope = -self.sign * self.share * np.exp(-np.logaddexp(0.0, margin))
        return float(loss), np.append(self.x.T @ slope + penalty * weight, slope.sum())


def _shares(samples: Sequence[Sample]) -> Matrix:
    """What each sample counts for, [N], with the sum 1."""
    groups = [(sample.is_real, sample.attack_type, sample.folder) for sample in samples]
    sizes = Counter(groups)
    of_class = Counter(is_real for is_real, *_ in sizes)
    return np.array([1.0 / (len(of_class) * of_class[group[0]] * sizes[group]) for group in groups])
