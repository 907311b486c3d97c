"""HEIC: decoded with the extra, a row with the remedy without it, and never a crash."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images import heif
from cmfl_export.images.decoding import decode, open_rgb
from cmfl_export.images.status import ImageError, Status
from tests.conftest import picture

pillow_heif = pytest.importorskip("pillow_heif")


def encoded(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, **options)
    return stream.getvalue()


def failure(data: bytes, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    return caught.value


def outcome(data: bytes) -> Status:
    try:
        decode(data)
    except ImageError as error:
        return error.status
    return Status.OK


IMAGE = Image.fromarray(picture(3))
HEIC = encoded(IMAGE, quality=90)


def test_close_to_what_was_encoded(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(HEIC)
    pixels = decode(tmp_path / "photo.heic")
    assert np.abs(pixels.astype(int) - np.asarray(IMAGE)).mean() < 8
    assert np.array_equal(pixels, decode(HEIC))


def test_upright() -> None:
    wide = IMAGE.resize((224, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = open_rgb(encoded(wide, quality=90, exif=exif.tobytes()))
    expected = np.asarray(wide.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(np.asarray(turned) - expected).mean() < 8


def test_transparent_pixels_are_white() -> None:
    clear = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    assert np.asarray(open_rgb(encoded(clear, quality=95))).min() >= 253


def test_ten_bits() -> None:
    ramp = np.zeros((64, 80, 3), np.uint16)
    ramp[:] = np.linspace(0, 65535, 80)[None, :, None]
    stream = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(80, 64), data=ramp.tobytes()).save(stream, quality=-1)
    found = np.asarray(open_rgb(stream.getvalue()))[0, :, 0]
    assert np.abs(found - np.linspace(0, 255, 80)).max() < 2


def test_limits_hold_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("was decoded")

    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", refuse)
    assert failure(HEIC, max_pixels=1000).status is Status.TOO_LARGE


@pytest.mark.parametrize("end", [40, len(HEIC) // 2, len(HEIC) - 5])
def test_a_file_that_ends_early(end: int) -> None:
    assert failure(HEIC[:end]).status is Status.TRUNCATED


def test_damage_is_a_status() -> None:
    random = np.random.default_rng(5)
    outcomes = set()
    for _ in range(40):
        data = bytearray(HEIC)
        for place in random.integers(0, len(data), 8):
            data[place] = random.integers(256)
        outcomes.add(outcome(bytes(data)))
    assert len(outcomes) > 1
    assert outcomes <= {
        Status.OK,
        Status.UNREADABLE,
        Status.TRUNCATED,
        Status.UNSUPPORTED,
        Status.NOT_AN_IMAGE,
    }


def test_other_users_of_pillow_are_not_changed() -> None:
    # Other packages of a test run may have registered it already.
    before = set(Image.OPEN)
    decode(HEIC)
    assert set(Image.OPEN) == before


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    error = failure(HEIC)
    assert error.status is Status.UNSUPPORTED
    assert "or install cmfl-export[heic]" in error.message
