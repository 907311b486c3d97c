"""Bit depths, byte orders, planes and photometrics: the right pixels, or a status that says so."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cmfl_export.images.decoding import SIZE, Pixels, decode
from cmfl_export.images.status import ImageError, Status

TYPES = ("uint8", "uint16", "uint32", "int16", "float32", "float64")


def ramp(channels: int) -> NDArray[np.float64]:
    """[224, 224, channels] in 0..1, another gradient in each channel."""
    down, across = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    planes = [across, down, (across + down) / 2, 1 - across / 2]
    return np.stack(planes[:channels], axis=2)


def stored(values: NDArray[np.float64], kind: str) -> NDArray[Any]:
    if kind.startswith("float"):
        return values.astype(kind)
    return np.rint(values * np.iinfo(kind).max).astype(kind)


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, metadata=None, **options)
    return stream.getvalue()


def as_bytes(values: NDArray[np.float64]) -> NDArray[np.int64]:
    rgb = values if values.shape[2] >= 3 else np.repeat(values[:, :, :1], 3, axis=2)
    return np.rint(rgb[:, :, :3] * 255).astype(np.int64)


def outcome(content: bytes) -> Pixels | Status:
    try:
        return decode(content)
    except ImageError as error:
        return error.status


def is_right(got: Pixels | Status, expected: NDArray[np.int64]) -> bool:
    """Within 1, as 16-bit colour keeps its high byte, or refused as what it is."""
    if isinstance(got, Status):
        return got is Status.UNSUPPORTED
    return bool(np.abs(got.astype(np.int64) - expected).max() <= 1)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_colour_tiff(kind: str, order: str, planes: str, compression: str | None) -> None:
    values = stored(ramp(3), kind)
    if planes == "separate":
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    content = tiff(values, photometric="rgb", planarconfig=planes, byteorder=order, compression=compression)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        assert np.array_equal(file.asarray(), values)
    got = outcome(content)
    assert is_right(got, as_bytes(ramp(3)))
    if kind == "uint8" or (kind == "uint16" and planes == "contig"):
        assert not isinstance(got, Status)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_grey_tiff(kind: str, order: str, photometric: str, compression: str | None) -> None:
    values = ramp(1)
    written = stored(1 - values if photometric == "miniswhite" else values, kind)[:, :, 0]
    got = outcome(tiff(written, photometric=photometric, byteorder=order, compression=compression))
    assert is_right(got, as_bytes(values))
    plain = photometric == "minisblack" and (kind == "uint16" or (kind == "float32" and order == "<"))
    if kind == "uint8" or plain:
        assert not isinstance(got, Status)


@pytest.mark.parametrize("value", [1.02, 1.9, -0.5])
@pytest.mark.parametrize("kind", ["tiff", "pfm", "image"])
def test_one_overshooting_float_leaves_the_others(kind: str, value: float) -> None:
    values = ramp(1)[:, :, 0].astype(np.float32)
    values[0, 0] = value
    contents: dict[str, Any] = {
        "tiff": tiff(values, photometric="minisblack"),
        "pfm": f"Pf\n{SIZE} {SIZE}\n-1.0\n".encode() + np.flipud(values).astype("<f4").tobytes(),
        "image": Image.fromarray(values),
    }
    expected = np.rint(values.clip(0, 1) * 255).astype(np.int64)
    assert np.abs(decode(contents[kind])[:, :, 0].astype(np.int64) - expected).max() <= 1


def test_floats_of_another_range_are_refused() -> None:
    content = tiff((ramp(1)[:, :, 0] * 255).astype(np.float32), photometric="minisblack")
    assert outcome(content) is Status.UNSUPPORTED


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_tiff_of_few_bits(bits: int, photometric: int) -> None:
    most = (1 << bits) - 1
    values = np.rint(ramp(1)[:, :, 0] * most).astype(np.uint8)
    shifts = np.arange(8 - bits, -1, -bits)
    codes = most - values if photometric == 0 else values
    packed = (codes.reshape(SIZE, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8).tobytes()
    tags = [(256, SIZE), (257, SIZE), (258, bits), (259, 1), (262, photometric)]
    tags += [(273, 8), (277, 1), (278, SIZE), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed
    content += struct.pack("<H", len(tags)) + entries + bytes(4)
    assert is_right(outcome(content), as_bytes((values / most)[:, :, None]))


def test_predictor() -> None:
    for kind in ("uint8", "uint16"):
        content = tiff(stored(ramp(3), kind), photometric="rgb", compression="zlib", predictor=True)
        assert is_right(outcome(content), as_bytes(ramp(3)))


def test_palette_alpha_and_cmyk_tiff() -> None:
    codes = np.tile(np.arange(SIZE, dtype=np.uint8), (SIZE, 1))
    colours = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    palette = tiff(codes, photometric="palette", colormap=colours * 257)
    assert is_right(outcome(palette), colours.T[codes].astype(np.int64))
    alpha = tiff(stored(ramp(4), "uint8"), photometric="rgb", extrasamples=["unassalpha"])
    over = ramp(4)[:, :, :3] * ramp(4)[:, :, 3:] + 1 - ramp(4)[:, :, 3:]
    got = outcome(alpha)
    assert isinstance(got, np.ndarray)
    assert np.abs(got.astype(np.int64) - as_bytes(over)).max() <= 2
    inks = np.dstack([stored(ramp(3), "uint8"), np.zeros((SIZE, SIZE), np.uint8)])
    cmyk = tiff(inks, photometric="separated")
    assert is_right(outcome(cmyk), 255 - as_bytes(ramp(3)))


@pytest.mark.parametrize(("bits", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_transparent_value_of_png(bits: int, colour: int) -> None:
    """The left half has the transparent value; in 16 bits the right differs from it in the low byte alone."""
    channels = 3 if colour else 1
    key, other = (0x4034, 0x4035) if bits == 16 else (1, 0)
    codes = np.full((SIZE, SIZE, channels), other)
    codes[:, : SIZE // 2] = key
    if bits < 8:
        shifts = np.arange(8 - bits, -1, -bits)
        lines = (codes.reshape(SIZE, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    else:
        lines = codes.reshape(SIZE, -1).astype(">u2" if bits == 16 else "u1")
    data = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, bits, colour, 0, 0, 0))]
    chunks += [(b"tRNS", struct.pack(">H", key) * channels), (b"IDAT", data), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    pixels = decode(content)
    assert (pixels[:, : SIZE // 2] == 255).all()
    assert (pixels[:, SIZE // 2 :] == (0x40 if bits == 16 else 0)).all()
