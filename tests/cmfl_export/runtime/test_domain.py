"""Domain: the distance against a dense covariance in float64, the percentile, and what a card may hold."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cmfl_export.base.errors import ModelError
from cmfl_export.runtime import ModelCard
from cmfl_export.runtime.domain import Domain, fitted


def embeddings(count: int, seed: int = 0, dimensions: int = 12) -> np.ndarray:
    """Sigmoids of values with a few strong directions, float32."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, dimensions))
    values = rng.normal(size=(count, 3)) @ mixing + rng.normal(0, 0.3, (count, dimensions))
    found: np.ndarray = (1 / (1 + np.exp(-values))).astype(np.float32)
    return found


def card(domain: dict[str, Any]) -> ModelCard:
    return ModelCard("a", "one_stream", "rgb", True, ("p_real", "embedding"), domain=domain)


class TestDistance:
    def test_is_that_of_the_dense_covariance(self) -> None:
        train, others = embeddings(500), embeddings(20, seed=1)
        domain = fitted(train, 3)
        values = train.astype(np.float64)
        spread = values.std(axis=0)
        apart = (values - values.mean(axis=0)) / spread
        strengths, directions = np.linalg.eigh(apart.T @ apart / len(apart))
        strengths[:-3] = strengths[:-3].mean()
        inverse = np.linalg.inv((directions * strengths) @ directions.T)
        away = (others - values.mean(axis=0)) / spread
        expected = np.sqrt(np.einsum("ni,ij,nj->n", away, inverse, away) / 12)
        np.testing.assert_allclose(domain.distance(others), expected, rtol=1e-3)

    def test_training_images_are_near_and_others_far(self) -> None:
        domain = fitted(embeddings(500), 3)
        assert domain.distance(embeddings(300, seed=1)).mean() == pytest.approx(1, abs=0.2)
        assert domain.distance(np.full((1, 12), 0.999) * np.tile([1, 0], 6)).item() > 3

    def test_few_images_all_alike_and_saturated_ones_stay_finite(self) -> None:
        domain = fitted(np.tile(np.array([0.0, 1.0, 0.5]), (3, 1)), 64)
        assert np.isfinite(domain.distance(np.array([[0, 1, 0.5], [1, 0, 0]]))).all()

    def test_only_the_first_dimensions_count_where_it_says_so(self) -> None:
        train, others = embeddings(500), embeddings(20, seed=1)
        first = fitted(train, 3, used=6)
        expected = fitted(train[:, :6], 3).distance(others[:, :6])
        assert (first.distance(others) == expected).all()
        assert first.dimensions == 12

    def test_refuses_what_it_cannot_use(self) -> None:
        with pytest.raises(ValueError, match="two embeddings"):
            fitted(embeddings(1), 3)
        with pytest.raises(ValueError, match="finite"):
            fitted(np.full((4, 3), np.nan), 3)
        with pytest.raises(ValueError, match="12 dimensions"):
            fitted(embeddings(50), 3).distance(np.zeros((1, 7)))


class TestPercentile:
    def test_counts_the_training_images_that_are_nearer(self) -> None:
        train = embeddings(1000)
        domain = fitted(train, 3)
        distances = domain.distance(train)
        found = [domain.percentile(d) for d in distances]
        expected = [100 * float((distances < d).mean()) for d in distances]
        np.testing.assert_allclose(found, expected, atol=0.6)

    def test_ends_at_0_and_100(self) -> None:
        domain = fitted(embeddings(100), 3)
        assert domain.percentile(0.0) == 0
        assert domain.percentile(1e9) == domain.percentile(math.inf) == domain.percentile(math.nan) == 100

    def test_outside_is_beyond_the_limit(self) -> None:
        domain = replace(fitted(embeddings(100), 3), limit=2.0)
        assert [domain.is_outside(d) for d in (1.9, 2.0, 2.1, math.nan)] == [False, False, True, True]


class TestCard:
    def test_keeps_the_domain(self) -> None:
        domain = replace(fitted(embeddings(500), 3), about={"split": "x/train", "images": 500})
        read = ModelCard.from_json(card(domain.to_card()).to_json())
        again = Domain.from_card(read.domain)
        others = embeddings(50, seed=2)
        assert (again.distance(others) == domain.distance(others)).all()
        assert again.about == domain.about
        assert (again.quantiles == domain.quantiles).all()

    def test_is_small_and_shows_no_arrays(self) -> None:
        domain = replace(fitted(embeddings(300, dimensions=768), 64), about={"images": 300})
        shown = card(domain.to_card())
        assert len(json.dumps(shown.domain)) < 200_000
        assert shown.items()["domain.images"] == "300"
        assert not [name for name in shown.items() if "arrays" in name]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"arrays": 3}, "no arrays"),
            ({"limit": True}, "limit is not a finite number"),
            ({"limit": -1}, "not greater than 0"),
            ({"dimensions": 11}, "more dimensions"),
            ({"noise": None}, "noise is not a finite number"),
            ({"mean": "???"}, "mean is not base64"),
            ({"mean": base64.b64encode(b"123").decode()}, "mean has 3 bytes"),
            ({"mean": base64.b64encode(np.full(12, np.inf, "<f4").tobytes()).decode()}, "not finite"),
            ({"spread": base64.b64encode(bytes(48)).decode()}, "not greater than 0"),
            ({"spread": base64.b64encode(np.ones(3, "<f4").tobytes()).decode()}, "do not fit"),
            ({"components": base64.b64encode(np.full(36, 9, "<f2").tobytes()).decode()}, "orthonormal"),
            (
                {"quantiles": base64.b64encode(np.arange(101, 0, -1).astype("<f4").tobytes()).decode()},
                "rising",
            ),
        ],
    )
    def test_refuses_others(self, change: dict[str, Any], why: str) -> None:
        stored = fitted(embeddings(500), 3).to_card()
        arrays = {key: value for key, value in change.items() if key in stored["arrays"]}
        stored |= {"arrays": stored["arrays"] | arrays} if arrays else change
        with pytest.raises(ModelError, match=f"its domain: .*{why}"):
            ModelCard.from_json(card(stored).to_json())
