"""The regression: against scikit-learn, and what its balance and its standardisation mean."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from protocols import Sample
from training.logistic import LEAST_DEVIATION, Problem


def some_samples(counts: dict[tuple[str, str], int]) -> list[Sample]:
    """So many samples of each attack (none for photographs) and folder."""
    return [
        Sample(f"{attack}-{folder}-{number}", f"{folder}/{attack}{number}.png", attack)
        for (attack, folder), count in counts.items()
        for number in range(count)
    ]


SAMPLES = some_samples({("", "a"): 40, ("", "b"): 5, ("gan", "c"): 30, ("sd", "d"): 6})


def some_embeddings(seed: int = 0) -> np.ndarray:
    """[81, 12], not standardised, in which the classes lie apart along one direction."""
    rng = np.random.default_rng(seed)
    real = np.array([sample.is_real for sample in SAMPLES])
    x: np.ndarray = rng.normal(0, 1, (len(SAMPLES), 12)) * rng.uniform(0.01, 0.1, 12) + rng.uniform(0, 1, 12)
    x[:, 0] += 0.03 * real
    return x


@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0])
def test_it_is_the_regression_of_scikit_learn(c: float) -> None:
    x = some_embeddings()
    real = np.array([sample.is_real for sample in SAMPLES])
    # A quarter of the whole weight for each of the four groups; the mean weight is 1.
    sizes = np.repeat([40, 5, 30, 6], [40, 5, 30, 6])
    weights = len(SAMPLES) / 4 / sizes
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    other = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(standardised, real, weights)
    # Folded: the regression takes embeddings as they are.
    np.testing.assert_allclose(
        Problem(x, SAMPLES).fit(c)(x), other.decision_function(standardised), atol=2e-3
    )


def test_the_order_of_fits_does_not_matter() -> None:
    x = some_embeddings()
    problem = Problem(x, SAMPLES)
    for c in (1e-4, 1e-3, 1e-2):
        warm = problem.fit(c)
    np.testing.assert_allclose(warm(x), Problem(x, SAMPLES).fit(1e-2)(x), atol=2e-3)


def test_a_constant_number_gets_no_weight() -> None:
    x = some_embeddings()
    x[:, 3] = 0.5 + 1e-9 * np.arange(len(x))
    linear = Problem(x, SAMPLES).fit(1.0)
    assert abs(linear.weight[3]) * 1e-6 < 1e-6 / LEAST_DEVIATION
    assert np.isfinite(linear.weight).all()
