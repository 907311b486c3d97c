"""The decoder on what cannot be scored: one status each, and never another exception."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.registry import _registry
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cmfl_export.images import decoding
from cmfl_export.images.decoding import SIZE, ImageLike, decode
from cmfl_export.images.status import ImageError, Status
from tests.cmfl_export.pictures import encoded, noise, png


def failure(source: ImageLike, **options: Any) -> tuple[Status, str]:
    with pytest.raises(ImageError) as caught:
        decode(source, **options)
    assert "\n" not in caught.value.message
    assert str(caught.value) == caught.value.message
    return caught.value.status, caught.value.message


def attempt(source: ImageLike) -> decoding.Pixels | Status:
    """The pixels, or why there are none."""
    try:
        return decode(source, max_pixels=1_000_000)
    except ImageError as error:
        return error.status


def without_rights(task: Callable[[], str]) -> str:
    """What `task` returns in a process that may not read others' files, even where root runs the tests."""

    def run() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        sender.send(task())

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run)
    process.start()
    sender.close()
    result: str = receiver.recv()
    process.join()
    return result


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert failure(tmp_path / "gone.jpg") == (Status.NOT_FOUND, "no such file")
    assert failure(tmp_path / "file" / "below.jpg") == (Status.NOT_FOUND, "no such file")
    assert failure("") == (Status.NOT_FOUND, "the path is empty")
    for name in ("a\0b.jpg", "\ud800.jpg"):
        assert failure(name) == (Status.NOT_FOUND, "no file can have this name")


def test_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    encoded_file = tmp_path / "real.png"
    noise(SIZE, SIZE).save(encoded_file)
    (tmp_path / "good.png").symlink_to(encoded_file)
    assert failure(tmp_path / "broken.jpg") == (Status.NOT_FOUND, "broken symbolic link")
    assert failure(tmp_path / "loop.jpg") == (Status.UNREADABLE, "too many levels of symbolic links")
    assert np.array_equal(decode(tmp_path / "good.png"), np.asarray(noise(SIZE, SIZE)))


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    assert failure(tmp_path / "x.jpg") == (Status.NOT_A_FILE, "a folder, not an image file")
    assert failure(tmp_path / "pipe.jpg") == (Status.NOT_A_FILE, "not a regular file")
    assert failure(os.devnull) == (Status.NOT_A_FILE, "not a regular file")


def test_a_file_that_may_not_be_read(open_folder: Path) -> None:
    path = open_folder / "secret.png"
    noise(8, 8).save(path)
    path.chmod(0)
    assert without_rights(lambda: str(failure(path))) == str((Status.PERMISSION_DENIED, "permission denied"))


def test_a_folder_that_may_not_be_read(open_folder: Path) -> None:
    folder = open_folder / "secret"
    folder.mkdir(mode=0)
    expected = (Status.PERMISSION_DENIED, "no permission to read the folder")
    assert without_rights(lambda: str(failure(folder))) == str(expected)


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("BMW is no bitmap, and P6 is no portable pixmap.")
    assert failure(tmp_path / "empty.jpg") == (Status.EMPTY, "the file is empty")
    assert failure(b"") == (Status.EMPTY, "the file is empty")
    for data in (
        b"hello",
        b"P6 is no picture either",
        (tmp_path / "text.jpg").read_bytes(),
        b"\0" * 4096,
        b"B",
    ):
        assert failure(data) == (Status.NOT_AN_IMAGE, "not an image of a known format")
    assert failure(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")[0] is Status.NOT_AN_IMAGE
    assert failure(np.empty((0, 5, 3), np.uint8))[0] is Status.EMPTY


TRUNCATED = [
    ("JPEG", {}, 3),
    ("JPEG", {"progressive": True}, 3),
    ("PNG", {}, 8),
    ("WEBP", {}, 16),
    ("WEBP", {"lossless": True}, 16),
    ("GIF", {}, 500),
    ("BMP", {}, 54),
    ("TIFF", {}, 140),
    ("PPM", {}, 14),
    ("JPEG2000", {}, 90),
    ("AVIF", {}, 270),
]


@pytest.mark.parametrize(("format", "options", "header"), TRUNCATED)
def test_a_cut_file_is_truncated_and_never_half_decoded(
    format: str, options: dict[str, object], header: int
) -> None:
    whole = encoded(noise(8, 8).resize((40, 30)), format, **options)
    pixels = decode(whole)
    for length in range(header, len(whole), 7):
        result = attempt(whole[:length])
        # Only what follows the picture may be missing.
        complete = length > len(whole) - 24 and np.array_equal(result, pixels)
        assert complete or result is Status.TRUNCATED


def test_damage_that_is_no_cut_is_unreadable() -> None:
    whole = bytearray(encoded(noise(40, 30), "PNG"))
    whole[60] ^= 0xFF
    assert failure(bytes(whole))[0] is Status.UNREADABLE


def test_large_pictures_are_refused_from_the_header() -> None:
    bomb = png(60_000, 60_000, 8, 2, b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert failure(bomb) == (Status.TOO_LARGE, "60000 x 60000 pixels, more than the limit of 100000000")
    picture = noise(30, 20)
    for source in (encoded(picture, "JPEG"), picture, np.asarray(picture)):
        assert failure(source, max_pixels=599)[0] is Status.TOO_LARGE
        assert decode(source, max_pixels=600).shape == (SIZE, SIZE, 3)


def test_pillows_own_limit_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE * SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for format in ("JPEG", "PNG", "BMP", "GIF", "PPM", "JPEG2000", "AVIF"):
            assert decode(encoded(noise(400, 300), format)).shape == (SIZE, SIZE, 3)


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    path.write_bytes(encoded(noise(8, 8), "PNG"))
    os.truncate(path, decoding.MAX_FILE_BYTES + 1)
    assert failure(path) == (Status.TOO_LARGE, "536870913 bytes, more than the limit of 536870912")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), Status.TOO_LARGE),
        (Image.DecompressionBombError("big"), Status.TOO_LARGE),
        (ValueError("two\nlines"), Status.UNREADABLE),
        (zlib.error("bad"), Status.UNREADABLE),
        (OSError(5, "Input/output error"), Status.UNREADABLE),
        (SyntaxError(), Status.UNREADABLE),
    ],
)
def test_whatever_pillow_raises_becomes_a_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: Status
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    assert failure(encoded(noise(8, 8), "PNG"))[0] is status


@pytest.mark.parametrize(
    "source",
    [
        3,
        None,
        bytearray(b"x"),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_wrong_arguments_are_type_errors(source: Any) -> None:
    with pytest.raises(TypeError, match="a picture"):
        decode(source)


FILES = {
    format: encoded(noise(40, 30), format)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
}


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_files_give_a_picture_or_an_image_error(format: str, data: st.DataObject) -> None:
    content = bytearray(FILES[format])
    edits = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)
    for position, value in data.draw(edits):
        content[position] = value
    cut = data.draw(st.integers(0, len(content)))
    result = attempt(bytes(content[:cut]))
    assert isinstance(result, Status) or (str(result.dtype), result.shape) == ("uint8", (SIZE, SIZE, 3))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_an_image_error(content: bytes) -> None:
    allowed = {Status.EMPTY, Status.NOT_AN_IMAGE, Status.TRUNCATED, Status.UNREADABLE, Status.UNSUPPORTED}
    assert failure(content)[0] in allowed


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [("s3://b/a.jpg", "s3fs", "remote"), ("a.parquet::image/0", "pyarrow", "parquet")],
)
def test_a_package_that_is_missing_is_the_remedy(
    text: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.parquet").touch()
    monkeypatch.setitem(sys.modules, module, None)
    # fsspec keeps what it has imported for another test.
    monkeypatch.delitem(_registry, text.partition(":")[0], raising=False)
    with pytest.raises(ImageError, match=rf"pip install 'cmfl-export\[{extra}\]'") as caught:
        decode(text)
    assert caught.value.status is Status.UNSUPPORTED
