from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from protocols.traces import measure


def photograph(seed: int = 0, size: int = 256) -> Image.Image:
    """Noise with the falling spectrum of a photograph."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 1 / size
    waves = np.fft.fft2(rng.normal(size=(3, size, size))) / frequency**1.2
    pixels = np.fft.ifft2(waves).real
    pixels = 128 + 45 * pixels / pixels.std()
    return Image.fromarray(np.moveaxis(pixels, 0, -1).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, quality: int = 75) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def test_shapes_and_ranges() -> None:
    traces = measure(photograph())
    assert traces.radial.shape == (31,)
    assert np.isfinite(traces.radial).all()
    assert traces.thumbnail.shape == (192,)
    assert 0 <= traces.thumbnail.min() <= traces.thumbnail.max() <= 255


def test_the_radial_bins_show_where_the_power_is() -> None:
    """A wave of 56 cycles in 224 pixels; the rings divide 1 to 158.4 cycles into 31."""
    wave = 128 + 60 * np.sin(2 * np.pi * 56 * np.arange(224) / 224)
    pixels = np.repeat(np.tile(wave, (224, 1))[..., None], 3, axis=2).astype(np.uint8)
    radial = measure(Image.fromarray(pixels)).radial
    assert radial.argmax() == int((56 - 1) / ((np.hypot(112, 112) - 1) / 31))


def test_a_smoother_kernel_lowers_the_high_bins() -> None:
    image = photograph()
    sharp, smooth = (
        measure(image.resize((180, 180), kernel).resize((224, 224), kernel)).radial
        for kernel in (Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)
    )
    assert (sharp - smooth)[14:26].min() > 0.3
    assert abs((sharp - smooth)[:3]).max() < 0.1


@pytest.mark.parametrize(("size", "period"), [(180, "0.20"), (150, "0.33")])
def test_enlarging_leaves_its_period(size: int, period: str) -> None:
    original = photograph(size=224)
    assert measure(original).period == "none"
    resized = original.resize((size, size), Image.Resampling.BICUBIC)
    traces = measure(resized.resize((224, 224), Image.Resampling.BICUBIC))
    assert traces.period == period
    assert traces.resampling > measure(original).resampling


def test_an_earlier_jpeg_shows_its_grid_where_the_crop_put_it() -> None:
    image = photograph()
    assert measure(image).grid == "none"
    jpeg = encoded(image)
    assert measure(jpeg).grid == "0,0"
    assert measure(jpeg).blocks > 1.2 > measure(image).blocks
    assert measure(jpeg.crop((3, 6, 243, 246))).grid == "5,2"


def test_the_middle_of_a_large_picture_keeps_the_grid() -> None:
    assert measure(encoded(photograph(size=600))).grid == "0,0"


def test_grey_is_seen_whatever_the_mode() -> None:
    image = photograph()
    assert not measure(image).grey
    assert measure(encoded(image.convert("L").convert("RGB"))).grey


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (64, 64)])
def test_small_and_plain_pictures_have_finite_traces(size: tuple[int, int]) -> None:
    traces = measure(Image.new("RGB", size, (10, 20, 30)))
    assert np.isfinite([traces.resampling, traces.blocks, *traces.radial, *traces.thumbnail]).all()
    assert (traces.period, traces.grid) == ("none", "none")
