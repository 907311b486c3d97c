"""Domain: what a model's training images look like to it, and how far from them another image lies.

The card has a Gaussian of the embeddings of the training images: their means, the spread of each dimension,
the largest principal components of the correlations, and one variance for all other directions. Of a model
with two streams it is the RGB branch's half of the embedding, which knows other pictures better than both.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING = "embedding"
ARRAYS = "arrays"  # the key of the description's long values, which no person reads

_MOST_DIMENSIONS, _MOST_COMPONENTS = 4096, 256
_QUANTILES = 101  # the percentiles 0 to 100
_NUMBERS = (ARRAYS, "dimensions", "noise", "limit")
_LARGEST_FLAT = 1e-6  # a spread below this is that of a dimension that is always the same

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Domain:
    """The training images, as a distribution of the first D dimensions of embeddings, with K principal
    components.

    Attributes:
        dimensions: of a whole embedding, at least D.
        mean, spread: float64 [D], of the embeddings.
        components: float64 [K, D], orthonormal, of the embeddings divided by their spread.
        variances: float64 [K], along the components.
        noise: the variance along every other direction.
        quantiles: float64 [101], of the distances of the training images, from the smallest to the largest.
        limit: the distance from which an image is outside.
        about: what a person reads in the card: which data it comes from, and how many images.
    """

    dimensions: int
    mean: Floats
    spread: Floats
    components: Floats
    variances: Floats
    noise: float
    quantiles: Floats
    limit: float
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def basis(self) -> Floats:
        """The components as orthonormal columns, which the float16 of the card are not exactly."""
        found: Floats = np.linalg.qr(self.components.T)[0]
        return found

    @classmethod
    def from_card(cls, stored: Mapping[str, Any]) -> Domain:
        """Reads the card's entry `domain`, which `to_card` made, and checks it.

        Raises:
            ValueError: it cannot be one; says why.
        """
        arrays = stored.get(ARRAYS)
        if not isinstance(arrays, dict):
            raise ValueError("it has no arrays")
        mean = _unpacked(arrays, "mean", "<f4", _MOST_DIMENSIONS)
        variances = _unpacked(arrays, "variances", "<f4", _MOST_COMPONENTS)
        components = _unpacked(arrays, "components", "<f2", mean.size * variances.size)
        domain = cls(
            int(_number(stored, "dimensions")),
            mean,
            _unpacked(arrays, "spread", "<f4", mean.size),
            components.reshape(variances.size, -1),
            variances,
            _number(stored, "noise"),
            _unpacked(arrays, "quantiles", "<f4", _QUANTILES),
            _number(stored, "limit"),
            {key: value for key, value in stored.items() if key not in _NUMBERS},
        )
        domain._check()
        return domain

    def to_card(self) -> dict[str, Any]:
        """The card's entry: numbers and texts, and the arrays as base64 of little-endian floats."""
        kinds = {
            "mean": "<f4",
            "spread": "<f4",
            "components": "<f2",
            "variances": "<f4",
            "quantiles": "<f4",
        }
        packed = {
            name: base64.b64encode(getattr(self, name).astype(kind).tobytes()).decode("ascii")
            for name, kind in kinds.items()
        }
        numbers = {"dimensions": self.dimensions, "noise": self.noise, "limit": self.limit}
        return {**self.about, **numbers, ARRAYS: packed}

    def distance(self, embeddings: NDArray[Any]) -> Floats:
        """How far embeddings lie from the training images: Mahalanobis distances, divided by sqrt(D).

        Args:
            embeddings: [N, dimensions], the model's output `embedding`.

        Returns:
            float64 [N]; about 1 for the training images, not finite if an embedding is not.

        Raises:
            ValueError: they have another number of dimensions.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimensions:
            raise ValueError(
                f"embeddings have {self.dimensions} dimensions, not {list(embeddings.shape)[1:]}"
            )
        apart = (embeddings[:, : self.mean.size].astype(np.float64) - self.mean) / self.spread
        along = apart @ self.basis
        # Rounding can make what is left a little less than nothing.
        rest = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        squared = (along**2 / self.variances).sum(axis=1) + rest / self.noise
        distances: Floats = np.sqrt(squared / self.mean.size)
        return distances

    def percentile(self, distance: float) -> float:
        """The percentage of the training images that are nearer than this distance, from 0 to 100."""
        if not math.isfinite(distance):
            return 100.0
        return round(float(np.interp(distance, self.quantiles, np.linspace(0.0, 100.0, _QUANTILES))), 2)

    def is_outside(self, distance: float) -> bool:
        """Whether an image at this distance is out of the domain; written so that a NaN is."""
        return not distance <= self.limit

    def _check(self) -> None:
        dimensions, count = self.mean.size, self.variances.size
        if dimensions > self.dimensions:
            raise ValueError("it has more dimensions than an embedding")
        if self.spread.size != dimensions or self.components.size != dimensions * count:
            raise ValueError("its arrays do not fit together")
        if self.quantiles.size != _QUANTILES or (np.diff(self.quantiles) < 0).any():
            raise ValueError(f"its quantiles are not {_QUANTILES} rising numbers")
        if not (self.spread.min() > 0 and self.variances.min() > 0 and self.noise > 0 and self.limit > 0):
            raise ValueError("a spread, a variance or its limit is not greater than 0")
        if not np.abs(self.components).max() <= 1.001:
            raise ValueError("its components are not orthonormal")


def fitted(embeddings: NDArray[Any], components: int, used: int | None = None) -> Domain:
    """Fits the description to the embeddings of the training images; its limit is their largest distance.

    What float16 and float32 round away in the card is rounded away here already.

    Args:
        embeddings: [N, D], N >= 2.
        components: how many principal components, at most; fewer for few images.
        used: how many of the first dimensions it is about; None means all.

    Raises:
        ValueError: there are too few embeddings, or one is not finite.
    """
    if len(embeddings) < 2 or not np.isfinite(embeddings).all():
        raise ValueError("it takes two embeddings or more, all of them finite")
    values = embeddings[:, :used].astype(np.float64)
    mean = _rounded(values.mean(axis=0), "<f4")
    spread = _rounded(np.maximum(values.std(axis=0), _LARGEST_FLAT), "<f4")
    apart = (values - mean) / spread
    count = max(1, min(components, len(values) - 2, mean.size - 1))
    # In rising order; the eigenvalues of directions without any variance can be a little below 0.
    rising, columns = np.linalg.eigh(apart.T @ apart / len(values))
    variances, directions = np.maximum(rising[::-1], 0.0), columns.T[::-1]
    # Of very few images, or of images that are all alike, nothing may be left: never less than a thousandth.
    noise = max(float(variances[count:].sum()) / max(1, mean.size - count), 1e-3)
    kept = np.maximum(variances[:count], noise)
    domain = Domain(
        embeddings.shape[1],
        mean,
        spread,
        _rounded(directions[:count], "<f2"),
        _rounded(kept, "<f4"),
        float(np.float32(noise)),
        np.zeros(_QUANTILES),
        math.inf,
    )
    distances = domain.distance(embeddings)
    quantiles = _rounded(np.quantile(distances, np.linspace(0, 1, _QUANTILES)), "<f4")
    return replace(domain, quantiles=quantiles, limit=float(quantiles[-1]))


def _rounded(values: Floats, kind: str) -> Floats:
    return values.astype(kind).astype(np.float64)


def _unpacked(arrays: Mapping[str, Any], name: str, kind: str, most: int) -> Floats:
    text = arrays.get(name)
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"its {name} is not base64") from error
    size = np.dtype(kind).itemsize
    if not data or len(data) % size or len(data) > most * size:
        raise ValueError(f"its {name} has {len(data)} bytes")
    values: Floats = np.frombuffer(data, kind).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"its {name} has values that are not finite")
    return values


def _number(stored: Mapping[str, Any], name: str) -> float:
    value = stored.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"its {name} is not a finite number")
    return float(value)
