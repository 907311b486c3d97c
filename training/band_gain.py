"""An augmentation of spectra: another gain for each band of frequencies."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

# The gain is drawn at so many radii, from the zero frequency to the corner, and interpolated between them.
BANDS = 9
_STREAM = 2  # keeps these random numbers apart from those of the image's own augmentation


class BandGain(nn.Module):
    """Adds to a log spectrum what a filter of the image would: a random gain that depends on the radius.

    A network then cannot rely on how strong a band is, only on how neighbouring frequencies compare. The
    numbers of a sample come from (seed, epoch, position) alone.

    Args:
        deviation: standard deviation of the gain, on the spectrum's scale of -1 to 1.
        seed: of the run.
        size: of the spectrum.
    """

    def __init__(self, deviation: float, seed: int, size: int = 224) -> None:
        super().__init__()
        self.deviation = deviation
        self.seed = seed
        frequency = (torch.arange(size) - size // 2) / (size / 2)
        radius = torch.hypot(frequency[:, None], frequency[None, :]) / math.sqrt(2.0)
        distance = radius[None] * (BANDS - 1) - torch.arange(BANDS)[:, None, None]
        self.register_buffer("shares", (1.0 - distance.abs()).clamp_min(0.0), persistent=False)

    shares: Tensor  # [BANDS, size, size], of each radius at each frequency; their sum is 1

    def draw(self, epoch: int, positions: Tensor) -> Tensor:
        """The gains of samples at these positions of train, float32 [B, BANDS]."""
        draws = [
            np.random.default_rng([self.seed, epoch, int(position), _STREAM]).normal(
                0.0, self.deviation, BANDS
            )
            for position in positions
        ]
        return torch.from_numpy(np.stack(draws)).float()

    def forward(self, spectrum: Tensor, gains: Tensor) -> Tensor:
        """spectrum: float [B, 3, N, N] in [-1, 1], gains: [B, BANDS] -> the same shape and range."""
        gain = torch.einsum("bk,khw->bhw", gains.to(spectrum), self.shares)
        return (spectrum + gain[:, None]).clamp(-1.0, 1.0)
