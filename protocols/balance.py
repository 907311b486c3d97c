"""Both classes equally often."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .schema import Sample


def balance(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Cuts the larger class to the size of the smaller by a choice that `seed` fixes; keeps the order."""
    real = [index for index, sample in enumerate(samples) if sample.is_real]
    synthetic = [index for index, sample in enumerate(samples) if not sample.is_real]
    smaller, larger = sorted((real, synthetic), key=len)
    kept = smaller + random.Random(seed).sample(larger, len(smaller))
    return [samples[index] for index in sorted(kept)]
