"""The decoder: every mode and format right side up, the geometry of torchvision."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from cmfl_export.images import decoding
from cmfl_export.images.decoding import SIZE, ImageLike, decode, fit, open_rgb
from tests.cmfl_export.pictures import GREEN, RED, encoded, noise, png, quarters


def test_one_picture_from_every_kind_of_source(tmp_path: Path) -> None:
    picture = noise(300, 260)
    data = encoded(picture, "PNG")
    path = tmp_path / os.fsdecode(b"na\nme \xff.png")
    path.write_bytes(data)
    expected = decode(picture)
    sources: list[ImageLike] = [path, str(path), data, np.asarray(picture), Image.open(path)]
    for source in sources:
        pixels = decode(source)
        assert np.array_equal(pixels, expected)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (SIZE, SIZE, 3)
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(format: str, orientation: int) -> None:
    upright = quarters(96, 64)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    data = encoded(stored, format, exif=exif, quality=95)
    result = np.asarray(open_rgb(data), np.int16)
    assert result.shape == upright.shape
    assert np.abs(result - upright).mean() < 6
    assert np.array_equal(np.asarray(open_rgb(Image.open(io.BytesIO(data)))), result)


def test_broken_exif_is_no_reason_to_refuse() -> None:
    data = encoded(Image.fromarray(quarters()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.abs(decode(data).astype(int) - quarters()).mean() < 6


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("PNG", {}, 0),
        ("PNG", {"interlace": 1}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_deflate"}, 0),
        ("GIF", {}, 0),
        ("PPM", {}, 0),
        ("JPEG2000", {}, 0),
        ("AVIF", {"quality": 95}, 6),
        ("MPO", {"quality": 95}, 6),
    ],
)
def test_formats(format: str, options: dict[str, object], tolerance: float) -> None:
    pixels = decode(encoded(Image.fromarray(quarters()), format, **options))
    assert np.abs(pixels.astype(int) - quarters()).mean() <= tolerance


def test_colour_modes() -> None:
    picture = Image.fromarray(quarters())
    assert np.array_equal(decode(picture.quantize(4)), quarters())
    for format in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(decode(encoded(picture.quantize(4), format)), quarters())
    for mode, tolerance in (("YCbCr", 2), ("HSV", 3), ("CMYK", 0), ("RGBX", 0), ("LAB", 12)):
        other = picture.convert(mode)
        assert other.mode == mode
        assert np.abs(decode(other).astype(int) - quarters()).mean() <= tolerance
    assert np.abs(decode(encoded(picture.convert("CMYK"), "TIFF")).astype(int) - quarters()).mean() == 0
    inverted = encoded(picture.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(inverted).astype(int) - quarters()).mean() < 8


def test_grey_and_bilevel() -> None:
    ramp = np.tile(np.arange(SIZE, dtype=np.uint8), (SIZE, 1))
    expected = np.repeat(ramp[:, :, None], 3, axis=2)
    assert np.array_equal(decode(ramp), expected)
    for format in ("PNG", "BMP", "TIFF", "WEBP", "PPM"):
        assert np.array_equal(decode(encoded(Image.fromarray(ramp), format, lossless=True)), expected)
    bits = Image.fromarray(ramp > 100)
    assert bits.mode == "1"
    for format in ("PNG", "BMP", "TIFF", "PPM", "GIF"):
        assert np.array_equal(decode(encoded(bits, format)), np.where(expected > 100, 255, 0))


def test_16_bit_is_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
    values[0, :6] = [0, 128, 129, 257, 65406, 65407]
    grey = np.rint(values / 257.0).astype(np.uint8)
    assert list(grey[0, :6]) == [0, 0, 1, 1, 254, 255]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    little = Image.fromarray(values)
    big = Image.frombytes("I;16B", (SIZE, SIZE), values.astype(">u2").tobytes())
    wide = Image.fromarray(values.astype(np.int32))
    assert (little.mode, big.mode, wide.mode) == ("I;16", "I;16B", "I")
    for image in (little, big, wide):
        assert np.array_equal(decode(image), expected)
    for format in ("PNG", "TIFF", "PPM"):
        assert np.array_equal(decode(encoded(little, format)), expected)
    assert np.array_equal(decode(encoded(big, "TIFF")), expected)


def test_16_bit_colour_keeps_the_high_byte() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (SIZE, SIZE, 4), dtype=np.uint16)
    values[:, :, 3] = 65535
    for colour, channels in ((2, 3), (6, 4)):
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values[:, :, :channels])
        assert np.array_equal(decode(png(SIZE, SIZE, 16, colour, rows)), values[:, :, :3] >> 8)


def test_floating_point() -> None:
    ramp = np.tile(np.linspace(0, 1, SIZE, dtype=np.float32), (SIZE, 1))
    expected = np.repeat(np.rint(ramp * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    assert np.array_equal(decode(Image.fromarray(ramp)), expected)
    assert np.array_equal(decode(encoded(Image.fromarray(ramp), "TIFF")), expected)
    odd = np.full((SIZE, SIZE), 0.5, np.float32)
    odd[0, :3] = [np.nan, np.inf, -np.inf]
    assert np.array_equal(decode(Image.fromarray(odd))[0, :3, 0], [0, 255, 0])


def test_transparency_lies_over_white() -> None:
    rgba = np.dstack([quarters(), np.full((SIZE, SIZE), 255, np.uint8)])
    rgba[: SIZE // 2, : SIZE // 2, 3] = 0
    rgba[: SIZE // 2, SIZE // 2 :, 3] = 51
    expected = quarters()
    expected[: SIZE // 2, : SIZE // 2] = 255
    expected[: SIZE // 2, SIZE // 2 :] = np.rint(np.array(GREEN) * 0.2 + 255 * 0.8)
    for format in ("PNG", "WEBP", "TIFF"):
        pixels = decode(encoded(Image.fromarray(rgba), format, lossless=True))
        assert np.abs(pixels.astype(int) - expected).max() <= 1
    clear = [Image.new("LA", (9, 9), (10, 0)), Image.new("RGBA", (9, 9)), Image.new("La", (9, 9))]
    clear += [Image.new("RGBa", (9, 9)), Image.new("PA", (9, 9))]
    for image in clear:
        assert (decode(image) == 255).all()


def test_a_transparent_palette_entry_or_colour_lies_over_white() -> None:
    palette = Image.fromarray(quarters()).quantize(4)
    index = palette.getpixel((0, 0))
    expected = quarters()
    expected[: SIZE // 2, : SIZE // 2] = 255
    for format in ("PNG", "GIF"):
        assert np.array_equal(decode(encoded(palette, format, transparency=index)), expected)
    colour_key = encoded(Image.fromarray(quarters()), "PNG", transparency=RED)
    assert np.array_equal(decode(colour_key), expected)
    grey = Image.fromarray(np.full((9, 9), 7, np.uint8))
    assert (decode(encoded(grey, "PNG", transparency=7)) == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_animations_give_their_first_frame(format: str) -> None:
    first, second = Image.fromarray(quarters()), Image.new("RGB", (SIZE, SIZE), "black")
    data = encoded(first, format, save_all=True, append_images=[second], lossless=True)
    assert sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(data)))) == 2
    assert np.abs(decode(data).astype(int) - quarters()).mean() < 6


@given(st.integers(1, 520), st.integers(1, 520), st.booleans())
@settings(max_examples=60, deadline=None)
def test_geometry_is_torchvisions(width: int, height: int, aligned: bool) -> None:
    if max(width, height) > decoding.EXTREME_RATIO * min(width, height):
        width = height
    picture = noise(width, height)
    reference = Compose([Resize(SIZE if aligned else 256, InterpolationMode.BILINEAR), CenterCrop(SIZE)])
    assert np.array_equal(np.asarray(fit(picture, aligned=aligned)), np.asarray(reference(picture)))


def test_an_aligned_picture_passes_untouched() -> None:
    picture = noise(SIZE, SIZE)
    assert np.array_equal(decode(picture, aligned=True), np.asarray(picture))
    assert not np.array_equal(decode(picture, aligned=False), np.asarray(picture))


@pytest.mark.parametrize("size", [(31, 400), (400, 31), (20, 700), (7, 900), (300, 2700), (333, 2671)])
@pytest.mark.parametrize("aligned", [True, False])
def test_extreme_ratios_agree_with_torchvision_to_one_level(size: tuple[int, int], aligned: bool) -> None:
    picture = noise(*size)
    reference = Compose([Resize(SIZE if aligned else 256, InterpolationMode.BILINEAR), CenterCrop(SIZE)])
    difference = np.asarray(fit(picture, aligned=aligned), np.int16) - np.asarray(
        reference(picture), np.int16
    )
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (1, 5_000_000), (2, 3)])
@pytest.mark.parametrize("aligned", [True, False])
def test_slivers_take_no_memory(size: tuple[int, int], aligned: bool) -> None:
    # 1 x 5,000,000 scaled up as a whole would take 3 TB.
    pixels = decode(Image.new("RGB", size, RED), aligned=aligned)
    assert (pixels == RED).all()


MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B")


@given(st.sampled_from(MODES + DEEP_MODES), st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_any_mode_gives_a_picture(mode: str, width: int, height: int, seed: int) -> None:
    size = len(Image.new(mode, (width, height)).tobytes())
    noise = np.random.default_rng(seed)
    data = noise.random(width * height, np.float32).tobytes() if mode == "F" else noise.bytes(size)
    image = Image.frombytes(mode, (width, height), data)
    before = image.copy()
    pixels = decode(image)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (SIZE, SIZE, 3)
    assert image.tobytes() == before.tobytes()


def test_threads_do_not_disturb_each_other() -> None:
    sources = [encoded(noise(90 + i, 120, seed=i), "JPEG" if i % 2 else "PNG") for i in range(24)]
    alone = [decode(source) for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, sources * 3))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 3, together, strict=True))
