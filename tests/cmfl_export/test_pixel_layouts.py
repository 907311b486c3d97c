"""How samples lie in a file: right pixels, held against the arrays that another writer wrote, or a status."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cmfl_export.images import SIZE, ImageError, decode
from cmfl_export.results import Status

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
RGB = RNG.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def tiff(values: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def planes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.transpose(2, 0, 1))


DEEP_GREY, DEEP_RGB = GREY.astype(np.uint16) * 257, RGB.astype(np.uint16) * 257
COLOUR = {"photometric": "rgb"}
SEPARATE = COLOUR | {"planarconfig": "separate"}
WRITTEN: dict[str, tuple[np.ndarray, dict[str, Any], np.ndarray]] = {
    "grey 8": (GREY, {"photometric": "minisblack"}, three(GREY)),
    "grey 8, white is 0": (255 - GREY, {"photometric": "miniswhite"}, three(GREY)),
    "grey 1": (GREY > 127, {"photometric": "minisblack"}, three((GREY > 127) * np.uint8(255))),
    "grey 16": (DEEP_GREY, {"photometric": "minisblack"}, three(GREY)),
    "grey 16, white is 0": (65535 - DEEP_GREY, {"photometric": "miniswhite"}, three(GREY)),
    "grey 32 unsigned": (GREY.astype(np.uint32) << 24, {"photometric": "minisblack"}, three(GREY)),
    "grey 32 signed": (GREY.astype(np.int32) << 23, {"photometric": "minisblack"}, three(GREY)),
    "grey 16 signed": (GREY.astype(np.int16) << 7, {"photometric": "minisblack"}, three(GREY)),
    "grey float32": (GREY / np.float32(255), {"photometric": "minisblack"}, three(GREY)),
    "grey float64": (GREY / 255, {"photometric": "minisblack"}, three(GREY)),
    "grey float16": ((GREY / 255).astype(np.float16), {"photometric": "minisblack"}, three(GREY)),
    "rgb 8": (RGB, COLOUR, RGB),
    "rgb 8, separate": (planes(RGB), SEPARATE, RGB),
    "rgb 16": (DEEP_RGB, COLOUR, RGB),
    "rgb 16, separate": (planes(DEEP_RGB), SEPARATE, RGB),
    "rgb 32": (RGB.astype(np.uint32) << 24, COLOUR, RGB),
    "rgb float32": (RGB / np.float32(255), COLOUR, RGB),
    "rgb float64, separate": (planes(RGB / 255), SEPARATE, RGB),
    "rgb 8, tiles": (RGB, COLOUR | {"tile": (64, 64)}, RGB),
    "rgb 8, deflate": (RGB, COLOUR | {"compression": "zlib"}, RGB),
    "rgb 8, deflate, differences": (RGB, COLOUR | {"compression": "zlib", "predictor": True}, RGB),
    "rgb 16, deflate, differences": (DEEP_RGB, COLOUR | {"compression": "zlib", "predictor": True}, RGB),
    "rgb 16, separate, deflate": (planes(DEEP_RGB), SEPARATE | {"compression": "zlib"}, RGB),
    "grey 16, deflate": (DEEP_GREY, {"photometric": "minisblack", "compression": "zlib"}, three(GREY)),
    "grey float32, deflate": (
        GREY / np.float32(255),
        {"photometric": "minisblack", "compression": "zlib"},
        three(GREY),
    ),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", WRITTEN)
def test_a_tiff_gives_what_was_written_or_a_status(name: str, order: str) -> None:
    values, options, expected = WRITTEN[name]
    if options.get("predictor"):
        pytest.importorskip("imagecodecs", reason="writes differences")
    data = tiff(values, byteorder=order, **options)
    try:
        pixels = decode(data)
    except ImageError as error:
        refused = error.status, error.message
    else:
        assert np.abs(pixels.astype(int) - expected).max() <= 1
        return
    assert refused[0] is Status.UNSUPPORTED, refused
    assert refused[1].startswith("unsupported pixel format: ")
    # What photographs come in is decoded.
    assert not name.startswith(("grey 8", "grey 1,", "rgb 8"))
    assert name not in ("grey 16", "rgb 16", "grey float32")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, colour: int, rows: np.ndarray, transparent: bytes) -> bytes:
    """Of the bytes of each row, [H, bytes], with a transparent value."""
    header = struct.pack(">IIBBBBB", SIZE, SIZE, bits, colour, 0, 0, 0)
    packed = zlib.compress(np.hstack([np.zeros((SIZE, 1), np.uint8), rows]).tobytes())
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", transparent), chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("bits", "colour"), [(8, 0), (16, 0), (8, 2), (16, 2)])
def test_a_transparent_value_of_png_lies_over_white(bits: int, colour: int) -> None:
    samples = three(GREY) if colour == 2 else GREY[:, :, None]
    deep = samples.astype(">u2") * 257 if bits == 16 else samples
    # 100 is transparent; with 16 bits alone where the low byte agrees, too.
    deep[0, 0] = 100 * 257 + 1 if bits == 16 else 101
    rows = np.frombuffer(np.ascontiguousarray(deep).tobytes(), np.uint8).reshape(SIZE, -1)
    key = struct.pack(">H", 100 * 257 if bits == 16 else 100) * samples.shape[2]
    pixels = decode(png(bits, colour, rows, key))
    expected = three(np.where(GREY == 100, 255, GREY).astype(np.uint8))
    assert np.abs(pixels[1:].astype(int) - expected[1:]).max() == 0
    assert abs(int(pixels[0, 0, 0]) - 100) <= 1


def test_a_pfm_with_one_bright_pixel_is_not_black() -> None:
    values = GREY / np.float32(255)
    values[3, 4] = 1.02
    data = b"Pf\n%d %d\n-1.0\n" % (SIZE, SIZE) + values[::-1].astype("<f4").tobytes()
    pixels = decode(data)
    expected = three(GREY)
    expected[3, 4] = 255
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_cmyk_jpeg_of_adobe_is_not_inverted() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), (200, 60, 30)).convert("CMYK").save(stream, "JPEG", quality=95)
    assert np.abs(decode(stream.getvalue())[9, 9].astype(int) - (200, 60, 30)).max() <= 6


def test_a_file_of_an_unsupported_layout_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "planar.tif"
    path.write_bytes(tiff(planes(DEEP_RGB), **SEPARATE))
    with pytest.raises(ImageError, match="save it as PNG") as caught:
        decode(path)
    assert caught.value.status is Status.UNSUPPORTED
