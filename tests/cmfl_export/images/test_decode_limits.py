"""Pictures made to cost time or memory, holes in JPEG data, and kinds that are known but not decoded."""

from __future__ import annotations

import io
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images import decode_limits, heif
from cmfl_export.images.decode_limits import Room, webp_pixels
from cmfl_export.images.decoding import SIZE, decode
from cmfl_export.images.status import ImageError, Status

_END = b"\xff\xd9"


def failure(source: bytes | Path) -> tuple[Status, str]:
    with pytest.raises(ImageError) as caught:
        decode(source)
    return caught.value.status, caught.value.message


def photograph(**options: object) -> bytes:
    """A JPEG without flat areas."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    image = Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def empty_scans(count: int, side: int) -> bytes:
    """A progressive grey JPEG of that many scans with nothing in them."""
    frame = struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0)
    start = b"\xff\xc2" + struct.pack(">H", len(frame) + 2) + frame
    quantisation = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 0, 0)
    return b"\xff\xd8" + quantisation + start + scan * count + _END


@pytest.mark.parametrize(("count", "side"), [(1500, 10_000), (1500, 64), (30, 10_000)])
def test_many_scans_are_refused_before_decoding(count: int, side: int) -> None:
    status, message = failure(empty_scans(count, side))
    assert status is Status.TOO_SLOW
    assert "scans" in message


def test_run_lengths_over_many_pixels_are_refused() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 9000, 9000, 1, 8, 1, 1 << 16, 0, 0, 256, 0)
    body = header + bytes(1024) + b"\0\x01" * (1 << 15)
    content = b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 40 + 1024) + body
    assert failure(content)[0] is Status.TOO_SLOW


def test_a_picture_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"P3\n1500 1500\n255\n" + b"7 " * (3 * 1500 * 1500)
    assert decode(content).max() == 7
    monkeypatch.setattr(decode_limits, "MOST_SECONDS", 0.0)
    assert failure(content)[0] is Status.TOO_SLOW


def test_a_webp_canvas_is_known_before_it_is_opened() -> None:
    sizes = {"VP8L": {"lossless": True}, "VP8": {"lossless": False}}
    for options in sizes.values():
        stream = io.BytesIO()
        Image.new("RGB", (300, 200)).save(stream, "WEBP", **options)
        assert webp_pixels(stream.getvalue()[:64]) == (300, 200)
    bits = 9999 | 9999 << 14
    huge = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<IBI", 18, 0x2F, bits) + bytes(13)
    with pytest.raises(ImageError) as caught:
        decode(huge, max_pixels=99_000_000)
    assert caught.value.status is Status.TOO_LARGE


def test_room_is_never_overdrawn_and_everybody_gets_in() -> None:
    size = 1 << 28
    room, lock = Room(size), threading.Lock()
    inside: list[int] = []
    most: list[int] = []

    def work(need: int) -> int:
        with room.of(need):
            with lock:
                inside.append(need)
                most.append(sum(inside) if len(inside) > 1 else 0)
            time.sleep(0.002)
            with lock:
                inside.remove(need)
        return need

    # The last ones are more than there is at all.
    needs = [size // 2, size // 3, size // 5, size, 3 * size] * 8
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(work, needs, timeout=120)) == needs
    assert max(most) <= size


def test_room_is_given_back_by_failures() -> None:
    room = Room(1 << 28)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), room.of(1 << 28):
            raise ValueError("x")


@pytest.mark.parametrize("fill", [0x00, 0xFF])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_a_filled_end_is_truncated(progressive: bool, part: float, fill: int) -> None:
    whole = photograph(progressive=progressive)
    assert decode(whole).shape == (SIZE, SIZE, 3)
    kept = int(len(whole) * part)
    assert failure(whole[:kept] + bytes([fill]) * (len(whole) - kept))[0] is Status.TRUNCATED


def test_a_hole_in_front_of_the_end_is_truncated() -> None:
    whole = photograph()
    start = len(whole) // 2
    content = whole[:start] + bytes(len(whole) - start - 2) + _END
    assert failure(content)[0] is Status.TRUNCATED


def test_sound_jpegs_of_flat_areas_are_decoded() -> None:
    for colour in ("black", "white", "red"):
        for options in ({}, {"progressive": True}, {"optimize": True}, {"quality": 100}):
            for mode in ("L", "RGB"):
                stream = io.BytesIO()
                Image.new("RGB", (1000, 700), colour).convert(mode).save(stream, "JPEG", **options)
                assert decode(stream.getvalue()).shape == (SIZE, SIZE, 3)


def test_known_kinds_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    heic = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40)
    contents = {"p.heic": heic, "renamed.jpg": heic, "raw.cr3": bytes(40), "colour.pfm": b"PF\n9 9\n-1\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        status, message = failure(tmp_path / name)
        assert status is Status.UNSUPPORTED
        assert "convert it to PNG or JPEG" in message


def test_a_decoded_kind_under_a_foreign_name_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "p.heic").write_bytes(photograph())
    assert decode(tmp_path / "p.heic").shape == (SIZE, SIZE, 3)


def test_a_model_among_the_images_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a" * 40)
    status, message = failure(tmp_path / "model.onnx")
    assert status is Status.NOT_AN_IMAGE
    assert "cmfl predict MODEL.onnx" in message
