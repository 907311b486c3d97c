"""The up-sampling simulator: the picture stays, periodic traces come, and only they."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from training.upsampling import Method, Recipe, simulate

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def picture(seed: int, height: int = 64, width: int = 64) -> Pixels:
    """Smooth random colours with some texture, like a photograph's 1/f spectrum."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) * s for s in (1, 3, 9)]
    field = sum(fields, np.zeros((height, width, 3)))
    return np.clip(128 + 60 * field, 0, 255).astype(np.uint8)


def log_spectrum(pixels: Pixels) -> Floats:
    """[H, W], averaged over the colour channels; zero frequency first."""
    return np.asarray(np.log(np.abs(np.fft.fft2(pixels / 255.0, axes=(0, 1))) + 1e-3).mean(2))


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), height=st.sampled_from([8, 16, 48]), width=st.sampled_from([8, 24, 64]))
def test_any_size_gives_the_same_picture_to_the_eye(seed: int, height: int, width: int) -> None:
    image = picture(seed, height, width)
    before = image.copy()
    twin = simulate(image, np.random.default_rng(seed))
    assert twin.shape == image.shape
    assert twin.dtype == np.uint8
    assert psnr(twin, image) > 28
    assert abs(float(twin.mean()) - float(image.mean())) < 2
    assert np.array_equal(image, before)
    assert np.array_equal(twin, simulate(image, np.random.default_rng(seed)))


def test_pictures_differ_by_seed() -> None:
    image = picture(0)
    twins = {simulate(image, np.random.default_rng(seed)).tobytes() for seed in range(8)}
    assert len(twins) == 8


@pytest.mark.parametrize("method", ["zero_insertion", "nearest"])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_without_perturbation_the_picture_is_untouched(method: Method, stages: int) -> None:
    """Down, up and the detail make the photograph again: the traces are the perturbation and nothing else."""
    image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert np.array_equal(
        simulate(image, np.random.default_rng(0), recipe=Recipe(stages, method, 0, 0, 0)), image
    )


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_checkerboard_has_the_period_of_the_stages(stages: int) -> None:
    """Period 2^stages in the picture: spectral points at multiples of N / 2^stages and nowhere else."""
    image = np.full((64, 64, 3), 128, np.uint8)
    twin = simulate(image, np.random.default_rng(0), recipe=Recipe(stages, "zero_insertion", 0.05, 0.03, 0.0))
    inner = twin[8:-8, 8:-8].astype(float)
    power = np.abs(np.fft.fft2(inner - inner.mean((0, 1)), axes=(0, 1))).sum(2)
    grid = power[:: 48 // 2**stages, :: 48 // 2**stages].copy()
    assert power.sum() == pytest.approx(grid.sum())
    grid[::2, ::2] = 0
    assert grid.max() > 100  # the finest points are among them


@pytest.mark.parametrize("method", ["zero_insertion", "nearest"])
def test_a_wave_is_copied_to_the_other_side_of_half_the_sampling_rate(method: Method) -> None:
    n, k = 64, 9
    wave = 128 + 80 * np.cos(2 * np.pi * k * np.arange(n) / n)
    image = np.broadcast_to(wave[None, :, None], (n, n, 3)).round().astype(np.uint8)
    twin = simulate(image, np.random.default_rng(0), recipe=Recipe(1, method, 0.05, 0.0, 0.4))

    def copy(pixels: Pixels) -> float:
        return float(np.abs(np.fft.fft2(pixels, axes=(0, 1)))[0, n // 2 - k].mean())

    assert copy(twin) > 10 * copy(image)


def test_the_traces_are_in_the_mean_spectrum_and_no_blur_is() -> None:
    n = 64
    images = [picture(seed, n, n) for seed in range(32)]
    twins = [simulate(image, np.random.default_rng(seed)) for seed, image in enumerate(images)]
    gain = np.mean([log_spectrum(t) - log_spectrum(i) for t, i in zip(twins, images, strict=True)], axis=0)
    half = n // 2
    assert gain[half, half] > 1
    assert min(gain[0, half], gain[half, 0]) > 0.2
    low = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n))) < 0.3
    assert abs(gain[low].mean()) < 0.1
    assert gain[~low].mean() > -0.05


def test_a_flat_picture_keeps_its_colour_and_gains_the_checkerboard() -> None:
    image = np.full((32, 32, 3), (200, 120, 60), np.uint8)
    twin = simulate(image, np.random.default_rng(0), recipe=Recipe(1, "zero_insertion", 0.1, 0.02, 0.0))
    assert np.abs(twin.mean((0, 1)) - image.mean((0, 1))).max() < 1
    assert twin.std() > image.std()
    assert np.array_equal(twin[::2, ::2], np.broadcast_to(twin[0, 0], (16, 16, 3)))
    smooth = simulate(image, np.random.default_rng(0), recipe=Recipe(1, "zero_insertion", 0.1, 0.0, 0.0))
    assert np.array_equal(smooth, image)


def test_drawn_recipes_cover_stages_and_methods() -> None:
    rng = np.random.default_rng(0)
    drawn = [Recipe.draw(rng) for _ in range(100)]
    assert {(recipe.method, recipe.stages) for recipe in drawn} == {
        (method, stages) for method in ("zero_insertion", "nearest") for stages in (1, 2, 3)
    }


def test_strength_scales_the_traces() -> None:
    image = picture(3)
    distances = [
        np.mean(
            [
                psnr(simulate(image, np.random.default_rng(seed), strength=strength), image)
                for seed in range(8)
            ]
        )
        for strength in (0.5, 1, 2, 4)
    ]
    assert all(weak > strong + 3 for weak, strong in pairwise(distances))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((12, 16, 3), np.uint8),
        np.zeros((16, 12, 3), np.uint8),
        np.zeros((0, 16, 3), np.uint8),
        np.zeros((16, 16), np.uint8),
        np.zeros((16, 16, 4), np.uint8),
        np.zeros((16, 16, 3), np.float32),
    ],
)
def test_refuses_what_is_no_picture_of_a_fitting_size(image: Pixels) -> None:
    with pytest.raises(ValueError, match=r"expected uint8|multiples of 8"):
        simulate(image, np.random.default_rng(0))
