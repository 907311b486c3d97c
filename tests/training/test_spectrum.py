"""LogSpectrum against the float64 definition, on natural scenes and on cases that are hard for float32."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tests.cmfl_export.photographs import pixels_of
from tests.conftest import picture
from training.spectrum import FLAT, HIGH, LOW, LogSpectrum, quantile, reference_spectrum

N = 224
Y, X = np.mgrid[0:N, 0:N]


def spectrum_of(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> what the module makes of it, float32 [3, H, W]."""
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    spectrum: np.ndarray = LogSpectrum(len(image))(tensor)[0].numpy()
    return spectrum


def grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@cache
def scene(seed: int) -> np.ndarray:
    """A picture with the spectrum of a photograph: power falling with frequency, and sensor noise."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(0, 1, (N, N, 3)), (s, s, 0)) * s for s in (1, 2, 4, 8)]
    image = sum(layers)
    image = 128 + 45 * image / image.std() + rng.normal(0, 2, image.shape)
    clipped: np.ndarray = np.clip(image, 0, 255).astype(np.uint8)
    return clipped


def textbook(image: np.ndarray) -> np.ndarray:
    """METHOD's formula word by word, one channel after the other; nothing for the degenerate cases."""
    planes = []
    for channel in range(3):
        s = np.log(np.abs(np.fft.fft2(image[..., channel].astype(np.float64) / 255)) + 1e-3)
        low, high = np.percentile(s, 5), np.percentile(s, 95)
        planes.append(np.fft.fftshift(np.clip(2 * ((s - low) / (high - low) - 0.5), -1, 1)))
    return np.stack(planes)


@pytest.mark.parametrize("seed", range(3))
def test_reference_is_the_definition(seed: int) -> None:
    image = scene(seed)
    np.testing.assert_allclose(reference_spectrum(image), textbook(image), atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_photographs(seed: int) -> None:
    image = scene(seed)
    assert np.abs(spectrum_of(image) - reference_spectrum(image)).max() <= 5e-5


def test_real_photographs() -> None:
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        image = np.ascontiguousarray(pixels_of(name)[20 : 20 + N, 120 : 120 + N])
        assert np.abs(spectrum_of(image) - reference_spectrum(image)).max() <= 5e-5


FLAT_SPECTRA = {
    "constant": np.full((N, N), 77),
    "black": np.zeros((N, N)),
    "one pixel": np.where((Y == 10) & (X == 20), 255, 0),
    "checkerboard of 1": (Y + X) % 2 * 255,
    "checkerboard of 4": (Y // 4 + X // 4) % 2 * 255,
    "checkerboard of 7": (Y // 7 + X // 7) % 2 * 255,
    "half black": np.where(Y < N // 2, 0, 255),
    "half dark, sideways": np.where(X < N // 2, 30, 200),
    "ramp": X * 255 // (N - 1),
    "sine": 127 + 120 * np.sin(2 * np.pi * 5 * X / N),
}


@pytest.mark.parametrize("name", FLAT_SPECTRA)
def test_no_spectrum_gives_zeros(name: str) -> None:
    """More than nine tenths of these spectra are one value: the definition would divide noise by noise."""
    image = grey(FLAT_SPECTRA[name])
    assert not spectrum_of(image).any()
    assert not reference_spectrum(image).any()


# Bounds are two to three times what was measured, on cases in which bins are nothing but float32 rounding.
HARD = {
    "noise": (np.random.default_rng(0).integers(0, 256, (N, N)), 2e-5),
    "grey scene": (scene(3).mean(axis=2), 1e-4),
    "half black scene": (np.where(Y < N // 2, 0, scene(3)[..., 0]), 2e-4),
    "sparse noise": (77 + (np.random.default_rng(1).random((N, N)) < 0.001), 3e-5),
    "cone": (np.hypot(X - 100, Y - 111) * 1.275, 2e-3),
    "bell": (255 * np.exp(-((X - 112) ** 2 + (Y - 112) ** 2) / 1800), 0.03),
    "tiles": (np.tile(np.random.default_rng(0).integers(0, 256, (56, 56)), (4, 4)), 0.1),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_cases_are_bounded(name: str) -> None:
    plane, bound = HARD[name]
    image = grey(plane)
    difference = np.abs(spectrum_of(image) - reference_spectrum(image))
    assert reference_spectrum(image).any()
    assert difference.max() <= bound
    assert difference.mean() <= 1e-3


def test_one_flat_channel_leaves_the_others_alone() -> None:
    image = scene(1).copy()
    image[..., 1] = 40
    spectrum = spectrum_of(image)
    assert not spectrum[1].any()
    np.testing.assert_allclose(spectrum[[0, 2]], spectrum_of(scene(1))[[0, 2]], atol=1e-6)


def test_zero_frequency_is_in_the_centre() -> None:
    spectrum = spectrum_of(scene(2))
    assert (spectrum[:, N // 2, N // 2] == 1.0).all()
    # A real image's magnitude is symmetric about it.
    np.testing.assert_allclose(spectrum[:, 1:, 1:], spectrum[:, :0:-1, :0:-1], atol=2e-4)


def test_range_and_percentiles() -> None:
    spectrum = spectrum_of(scene(4))
    assert spectrum.min() == -1.0
    assert spectrum.max() == 1.0
    for value in (-1.0, 1.0):
        assert np.mean(spectrum == value) == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("size", [16, 31, 100])
def test_other_sizes(size: int) -> None:
    image = picture(7, size)
    assert np.abs(spectrum_of(image) - reference_spectrum(image)).max() <= 1e-4


@pytest.mark.parametrize(("pairs", "singles"), [(24864, 448), (24863, 448), (90, 32), (12, 6)])
@pytest.mark.parametrize("different", [7, 100_000])  # with ties, and with hardly any
def test_percentiles_are_exact(pairs: int, singles: int, different: int) -> None:
    rng = np.random.default_rng(pairs)
    twice, once = (rng.integers(0, different, (2, count)) / 8 for count in (pairs, singles))
    for q in (LOW, HIGH):
        found = quantile(torch.from_numpy(twice), torch.from_numpy(once), q)
        expected = np.percentile(np.concatenate([twice, twice, once], axis=1), 100 * q, axis=1)
        np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-9)


def test_batch_is_image_by_image() -> None:
    images = torch.rand(3, 3, N, N, generator=torch.Generator().manual_seed(0))
    module = LogSpectrum()
    together = module(images)
    for image, expected in zip(images, together, strict=True):
        torch.testing.assert_close(module(image[None])[0], expected, atol=1e-5, rtol=0)


def test_precision_settings_do_not_reach_it() -> None:
    image = torch.rand(1, 3, N, N, generator=torch.Generator().manual_seed(0))
    module = LogSpectrum()
    expected = module(image)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module(image)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="224"):
        LogSpectrum()(torch.zeros(1, 3, 256, 256))


def test_flatness_threshold_is_far_from_natural_spectra() -> None:
    spans = []
    for image in (scene(0), HARD["noise"][0][..., None].repeat(3, 2), picture(0)):
        s = np.log(np.abs(np.fft.fft2(image[..., 0] / 255)) + 1e-3)
        spans.append(np.percentile(s, 95) - np.percentile(s, 5))
    assert min(spans) > 15 * FLAT
