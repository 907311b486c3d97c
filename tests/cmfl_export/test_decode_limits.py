"""What one picture may cost: time, and memory that all threads share."""

from __future__ import annotations

import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export import decode_limits
from cmfl_export.decode_limits import Room, webp_pixels
from cmfl_export.images import ImageError, decode
from cmfl_export.results import Status


def test_a_slow_picture_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b" ".join(b"%d" % value for value in np.random.default_rng(0).integers(0, 256, 300_000))
    data = b"P2\n1000 300\n255\n" + rows
    assert decode(data).shape == (224, 224, 3)
    monkeypatch.setattr(decode_limits, "MOST_SECONDS", 0.0)
    with pytest.raises(ImageError, match="not decoded after 0 s") as caught:
        decode(data)
    assert caught.value.status is Status.TOO_SLOW


def test_run_lengths_are_refused_by_their_number_of_pixels(tmp_path: Path) -> None:
    side = 5000
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 4, 0, 0, 256, 0)
    palette = bytes(1024)
    offset = 14 + len(header) + len(palette)
    body = header + palette + b"\0\1\0\1"
    path = tmp_path / "runs.bmp"
    path.write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, offset) + body)
    with pytest.raises(ImageError, match="run lengths") as caught:
        decode(path)
    assert caught.value.status is Status.TOO_SLOW


@pytest.mark.parametrize(
    ("lossless", "mode"), [(True, "RGB"), (False, "RGB"), (True, "RGBA"), (False, "RGBA")]
)
def test_the_size_of_a_webp_is_known_before_it_is_opened(lossless: bool, mode: str) -> None:
    stream = io.BytesIO()
    Image.new(mode, (317, 211), (9, 8, 7, 100)[: len(mode)]).save(stream, "WEBP", lossless=lossless)
    assert webp_pixels(stream.getvalue()[:32]) == (317, 211)


def test_other_files_have_no_size_of_a_webp() -> None:
    for head in (b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt " + bytes(20), b"\x89PNG" + bytes(28)):
        assert webp_pixels(head) is None


def test_room_is_shared_and_never_more_than_there_is() -> None:
    room = Room(100 << 20)
    lock, held, most = threading.Lock(), 0, 0

    def work(size: int) -> None:
        nonlocal held, most
        with room.of(size << 20):
            with lock:
                held += size
                most = max(most, held)
            with lock:
                held -= size

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [60, 50, 40, 70, 90, 33] * 50))
    assert 60 <= most <= 100


def test_a_picture_larger_than_all_room_is_decoded_alone() -> None:
    room = Room(100 << 20)
    inside = threading.Event()
    entered: list[str] = []

    def large() -> None:
        with room.of(500 << 20):
            entered.append("large")

    with room.of(40 << 20):
        thread = threading.Thread(target=large)
        thread.start()
        inside.wait(0.2)
        assert entered == []
    thread.join(60)
    assert entered == ["large"]


def test_small_pictures_pass_while_all_room_is_taken() -> None:
    room = Room(100 << 20)
    with room.of(100 << 20), room.of(1 << 20):
        pass
