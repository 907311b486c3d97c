"""Standardised spectra: each frequency by its mean and deviation over the training images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

# A deviation below this counts as this. Frequencies that most images have at one end of the scale hardly vary
# (the zero frequency is always 1), and rounding noise would be magnified. Others vary by 0.3 and more.
LEAST_DEVIATION = 0.05
# Values beyond this many deviations are cut: one in a thousand. It bounds what the trunk sees, so that 8 bits
# divide it as finely on any image as on those that int8 is calibrated on.
MOST_DEVIATIONS = 4.0

SHAPE = (3, 224, 224)


def reference_standardised(standardise: Standardise, spectrum: np.ndarray) -> np.ndarray:
    """The definition in float64 NumPy, which an exported graph is held against; shapes as in `forward`."""
    mean, deviation = (
        value.cpu().numpy().astype(np.float64) for value in (standardise.mean, standardise.deviation)
    )
    standardised: np.ndarray = np.clip(
        (spectrum.astype(np.float64) - mean) / deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS
    )
    return standardised


class Standardise(nn.Module):
    """Spectrum -> (spectrum - mean) / deviation, cut at 4 deviations (METHOD: "Standardised spectrum").

    Mean and deviation, float32 [3, 224, 224], are fixed and go with the weights. They come from the training
    images (`measure`); a new one leaves the spectrum as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SHAPE))
        self.register_buffer("deviation", torch.ones(SHAPE))

    mean: Tensor
    deviation: Tensor

    def forward(self, spectrum: Tensor) -> Tensor:
        """spectrum: float32 [B, 3, 224, 224] -> float32 of the same shape, also under autocast."""
        standardised = (spectrum - self.mean) / self.deviation
        return standardised.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    @property
    def is_measured(self) -> bool:
        """Whether mean and deviation come from images; a new one has 0 and 1."""
        return bool(self.mean.any())

    @property
    def is_usable(self) -> bool:
        """Whether mean and deviation are such as `measure` gives."""
        fit = self.mean.isfinite() & self.deviation.isfinite() & (self.deviation >= LEAST_DEVIATION)
        return bool(fit.all())

    def measure(self, spectra: Iterable[Tensor]) -> None:
        """Takes mean and deviation from batches of spectra, [B, 3, 224, 224] each, of at least one image."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for batch in spectra:
            # The squares of values up to 1 leave float64 enough digits for the variance.
            values = batch.detach().double()
            count += len(values)
            total = total.to(values) + values.sum(dim=0)
            squares = squares.to(values) + values.square().sum(dim=0)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0.0)
        self.mean.copy_(mean)
        self.deviation.copy_(variance.sqrt().clamp_min(LEAST_DEVIATION))
