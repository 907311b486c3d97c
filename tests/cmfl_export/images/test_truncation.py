"""Files with a hole where the picture should be, sound files that look so, and kinds that are not known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images.decoding import decode
from cmfl_export.images.status import ImageError, Status
from tests.cmfl_export.pictures import encoded


def textured() -> Image.Image:
    y, x = np.mgrid[0:300, 0:400]
    slopes = np.stack([x / 2 % 256, y / 2 % 256, (x + y) / 4 % 256], axis=-1)
    grain = np.random.default_rng(0).normal(0, 15, slopes.shape)
    return Image.fromarray((slopes + grain).clip(0, 255).astype(np.uint8))


def flat() -> Image.Image:
    """White, which optimised codes write as zeros, with something in it."""
    picture = np.full((1200, 1600, 3), 255, np.uint8)
    picture[500:600, 500:900] = (10, 200, 30)
    return Image.fromarray(picture)


ENTROPY_CODED = [
    ("JPEG", {}),
    ("JPEG", {"optimize": True}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"restart_marker_rows": 1}),
    ("JPEG", {"subsampling": 0}),
    ("PNG", {}),
    ("PNG", {"compress_level": 0}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("JPEG2000", {}),
    ("JPEG2000", {"irreversible": True, "quality_layers": [20]}),
    ("AVIF", {}),
    ("GIF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
]


def state(data: bytes) -> Status:
    try:
        decode(data)
    except ImageError as error:
        return error.status
    return Status.OK


@pytest.mark.parametrize(("format", "options"), ENTROPY_CODED)
@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_a_filled_half_or_hole_is_never_a_picture(
    format: str, options: dict[str, object], filling: bytes
) -> None:
    whole = encoded(textured(), format, **options)
    half = len(whole) // 2
    missing = {Status.TRUNCATED, Status.UNREADABLE}
    for end in (0, 12):
        # The rest of the file, without its end and with it.
        rest = len(whole) - half - end
        assert state(whole[:half] + filling * rest + whole[len(whole) - end :]) in missing
    start, size = int(len(whole) * 0.6), len(whole) // 4
    assert state(whole[:start] + filling * size + whole[start + size :]) in missing


def test_a_jpeg_whose_rest_is_zero_is_truncated() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        whole = encoded(textured(), "JPEG", **options)
        half = len(whole) // 2
        assert state(whole[:half] + bytes(len(whole) - half)) is Status.TRUNCATED
        assert state(whole[:half] + bytes(len(whole) - half - 2) + whole[-2:]) is Status.TRUNCATED


@pytest.mark.parametrize(("format", "options"), ENTROPY_CODED)
def test_flat_pictures_and_padding_are_no_holes(format: str, options: dict[str, object]) -> None:
    half_flat = textured()
    half_flat.paste("white", (0, 100, 400, 300))
    for picture in (flat(), textured(), half_flat, Image.new("RGB", (3000, 2000), "white")):
        whole = encoded(picture, format, **options)
        for padding in (b"", bytes(5000), b"\xff" * 5000):
            assert state(whole + padding) is Status.OK


def test_padding_within_a_jpeg_is_no_hole() -> None:
    whole = encoded(textured(), "JPEG")
    for padding in (bytes(300), b"\xff" * 300, b"\0"):
        padded = whole[:-2] + padding + whole[-2:]
        assert state(padded) is Status.OK
        assert np.array_equal(decode(padded), decode(whole))


def test_a_wrong_checksum_of_png_data_is_noticed() -> None:
    whole = bytearray(encoded(textured(), "PNG", compress_level=0))
    whole[len(whole) // 2] ^= 1
    assert state(bytes(whole)) in {Status.TRUNCATED, Status.UNREADABLE}


def test_an_animated_webp_with_a_hole_in_its_first_frame() -> None:
    frames = [textured(), textured().rotate(90)]
    whole = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert state(whole) is Status.OK
    start = len(whole) // 4
    assert state(whole[:start] + bytes(3000) + whole[start + 3000 :]) is Status.TRUNCATED


def test_kinds_that_pillow_does_not_know_are_not_called_damaged() -> None:
    jpeg = bytearray(encoded(textured(), "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    bmp = bytearray(encoded(textured(), "BMP"))
    bmp[28] = 64
    tiff = bytearray(encoded(textured(), "TIFF"))
    compression = tiff.index(b"\x03\x01\x03\x00")
    tiff[compression + 8 : compression + 10] = (50002).to_bytes(2, "little")
    for data in (jpeg, bmp, tiff):
        assert state(bytes(data)) is Status.UNSUPPORTED
