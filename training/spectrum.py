"""LogSpectrum: the network's view of an image's frequencies, computed with matrix products.

A discrete Fourier transform of a 224x224 plane is two small matrix products, which run in true float32 on
every device and in every ONNX runtime, where an `FFT` operator does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from .precision import matmul_precision

OFFSET = 1e-3  # keeps the logarithm finite; part of the definition
LOW, HIGH = 0.05, 0.95  # the percentiles that are mapped to -1 and 1; part of the definition

# A plane whose log-magnitude percentiles lie closer than this has no spectrum to speak of: the definition
# would divide rounding noise by rounding noise. White noise spans 2.0, photographs 3 and more.
FLAT = 0.1

# Each column minus this much of the one before is what the products see (see `_log_magnitude`). Between 0.5
# and 0.9 the largest error on photographs is two to eight times smaller than without it.
EMPHASIS = 0.7


def reference_spectrum(image: np.ndarray) -> np.ndarray:
    """The definition, in float64 NumPy: what every other computation of the spectrum is held against.

    Args:
        image: float or uint8 [H, W, 3]; uint8 is divided by 255.

    Returns:
        float64 [3, H, W] in [-1, 1], zero frequency in the centre; zeros for a channel without a spectrum
        (constant, or percentiles closer than `FLAT`).
    """
    pixels = image.astype(np.float64) / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)
    planes = pixels.transpose(2, 0, 1)
    log_magnitude = np.log(np.abs(np.fft.fft2(planes)) + OFFSET)
    low, high = np.percentile(log_magnitude, [100 * LOW, 100 * HIGH], axis=(1, 2), keepdims=True)
    span = high - low
    flat = span < FLAT
    scaled = np.clip(2.0 * ((log_magnitude - low) / np.where(flat, 1.0, span) - 0.5), -1.0, 1.0)
    return np.fft.fftshift(np.where(flat, 0.0, scaled), axes=(1, 2))


class LogSpectrum(nn.Module):
    """Log-magnitude spectrum, scaled by its 5th and 95th percentile (METHOD: "Spectrum branch input").

    `forward`: float [B, 3, H, W] in [0, 1] -> float32 of the same shape in [-1, 1], zero frequency in the
    centre. Always float32, whatever the autocast and the TF32 settings: small bins lie 1e-6 below the zero
    bin. A channel without a spectrum (constant, single pixel, ...) gives zeros.

    The image is real, so a frequency and its opposite have the same magnitude: the columns of the frequencies
    0 to N/2 are computed, the others are mirrored from them.
    """

    def __init__(self, size: int = 224) -> None:
        super().__init__()
        self.size = size
        # The frequencies, and places, that have an opposite; 0 and, with an even N, N/2 have none.
        self.mirrored = slice(1, (size + 1) // 2)
        frequency = np.arange(size // 2 + 1)
        turns = np.outer(frequency, np.arange(size)) % size
        self._register_waves("columns", turns)
        self._register_waves("rows", turns[:, : size // 2 + 1])
        response = np.abs(1.0 - EMPHASIS * np.exp(-2j * math.pi * frequency / size))
        self.register_buffer("gain", torch.tensor(1.0 / response, dtype=torch.float32), persistent=False)
        zero_bin = torch.zeros(len(frequency), len(frequency))
        zero_bin[0, 0] = size * size
        self.register_buffer("zero_bin", zero_bin, persistent=False)

    def _register_waves(self, name: str, turns: np.ndarray) -> None:
        """Cosine and sine, one frequency a row, at each of the places."""
        for function in (np.cos, np.sin):
            wave = torch.tensor(function(2.0 * math.pi * turns / self.size), dtype=torch.float32)
            self.register_buffer(f"{function.__name__}_{name}", wave, persistent=False)

    cos_rows: Tensor
    sin_rows: Tensor
    cos_columns: Tensor
    sin_columns: Tensor
    gain: Tensor
    zero_bin: Tensor

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (self.size, self.size):
            raise ValueError(f"expected [B, 3, {self.size}, {self.size}], got {tuple(image.shape)}")
        with _true_float32(image.device.type):
            return self._scale(self._log_magnitude(image.float()))

    def _log_magnitude(self, x: Tensor) -> Tensor:
        """[B, 3, N, N] -> [B, 3, N, N/2 + 1], the columns of the frequencies 0 to N/2."""
        # The mean goes out first and back into the zero bin: otherwise its rounding, 1e-7 of the largest
        # bin, would be spread over the small ones.
        mean = x.mean(dim=(-2, -1), keepdim=True)
        x = x - mean
        # Likewise for the low frequencies, which are most of a photograph: a filter along the rows takes them
        # out before the products, and its known response is divided out of the magnitude after them.
        x = x - EMPHASIS * torch.roll(x, 1, dims=-1)
        # F = (C - iS) x (C - iS)^T. The cosine of an opposite row is the same and its sine the negative, so
        # rows are added to their opposites, or subtracted, before the products, which are half as large then.
        half, opposite = x[..., : self.size // 2 + 1, :], x[..., self.size // 2 + 1 :, :].flip(-2)
        row, stop = half[..., self.mirrored, :], self.mirrored.stop
        c = self.cos_rows @ torch.cat([half[..., :1, :], row + opposite, half[..., stop:, :]], dim=-2)
        s = self.sin_rows[:, self.mirrored] @ (row - opposite)
        cc, cs = c @ self.cos_columns.T, c @ self.sin_columns.T
        sc, ss = s @ self.cos_columns.T, s @ self.sin_columns.T
        zero = mean.abs() * self.zero_bin
        positive = self._logarithm(cc - ss, sc + cs, zero)
        negative = self._logarithm(cc + ss, sc - cs, zero)[..., self.mirrored, :]
        return self._shifted(positive, negative.flip(-2), dim=-2)

    def _logarithm(self, real: Tensor, imaginary: Tensor, zero: Tensor) -> Tensor:
        return torch.log(torch.sqrt(real * real + imaginary * imaginary) * self.gain + zero + OFFSET)

    def _shifted(self, half: Tensor, negative: Tensor, dim: int) -> Tensor:
        """The frequencies 0 to N/2 and those below 0 along `dim`, zero in the centre."""
        stop = self.mirrored.stop
        # With an even N the last of the half is -N/2 just as well, and stands there.
        first, rest = half.narrow(dim, 0, stop), half.narrow(dim, stop, self.size // 2 + 1 - stop)
        return torch.cat([rest, negative, first], dim=dim)

    def _scale(self, log_magnitude: Tensor) -> Tensor:
        # Every value of a mirrored column stands twice in the whole.
        pairs = log_magnitude[..., self.mirrored]
        own = (log_magnitude[..., :1], log_magnitude[..., self.mirrored.stop :])
        singles = torch.cat(own, dim=-1).flatten(start_dim=-2)
        # Where the extremes come first, TopK has little to exchange: the small values are in the first rows,
        # those of the high frequencies, the large ones in the first columns. Other pictures only take longer.
        low = quantile(pairs.flatten(start_dim=-2), singles, LOW)[..., None]
        high = quantile(pairs.transpose(-2, -1).flatten(start_dim=-2), singles, HIGH)[..., None]
        span = high - low
        present = span >= FLAT
        scaled = 2.0 * ((log_magnitude - low) / torch.where(present, span, 1.0) - 0.5)
        # The choice comes last: a concatenation at the end would keep OpenVINO from 8-bit kernels behind it.
        whole = self._whole(scaled.clamp(-1.0, 1.0))
        return torch.where(present, whole, 0.0)

    def _whole(self, half: Tensor) -> Tensor:
        """[B, 3, N, N/2 + 1] -> [B, 3, N, N] in shifted order: column -v is column v, rows mirrored."""
        # With an even N the row -N/2, the first, is its own mirror; the column -N/2 stands on the left alone.
        opposite = half[..., self.mirrored].flip(-1)
        first = 1 - self.size % 2
        opposite = torch.cat([opposite[..., :first, :], opposite[..., first:, :].flip(-2)], dim=-2)
        return self._shifted(half, opposite, dim=-1)


def quantile(pairs: Tensor, singles: Tensor, q: float) -> Tensor:
    """Exact quantile with linear interpolation, as numpy.percentile: [..., P], [..., S] -> [..., 1].

    Of the 2 P + S values in which each of `pairs` stands twice. Through `topk`, which has a kernel
    everywhere.
    """
    n = 2 * pairs.shape[-1] + singles.shape[-1]
    upper = q > 0.5
    position = (1.0 - q if upper else q) * (n - 1)
    below = math.floor(position)  # the wanted values have this many, and one more, between them and the end
    weight = position - below
    outer = torch.topk(pairs, (below + 3) // 2, dim=-1, largest=upper, sorted=False).values
    beyond = torch.cat([outer, outer, singles], dim=-1)
    # Sorted from the inner end, from which it is nearer.
    inner = torch.topk(beyond, beyond.shape[-1] - below, dim=-1, largest=not upper).values
    return inner[..., -1:] * (1.0 - weight) + inner[..., -2:-1] * weight


@contextmanager
def _true_float32(device: str) -> Iterator[None]:
    """Products in float32: no autocast, no TF32, no bfloat16."""
    if torch.compiler.is_compiling():
        # Tracing for export: there is neither autocast nor a precision setting, and none may be recorded.
        yield
        return
    with matmul_precision("ieee"), torch.autocast(device, enabled=False):
        yield
