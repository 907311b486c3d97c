"""Balances the classes of a split."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .schema import Sample


def balance(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Returns equally many samples of both classes in their order; `seed` decides which are left out."""
    real = [index for index, sample in enumerate(samples) if sample.is_real]
    synthetic = [index for index, sample in enumerate(samples) if not sample.is_real]
    smaller, larger = sorted((real, synthetic), key=len)
    kept = smaller + random.Random(seed).sample(larger, len(smaller))
    return [samples[index] for index in sorted(kept)]
