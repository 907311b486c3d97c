"""Files that are known but not decoded have a row that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.images import heif
from cmfl_export.images.decoding import decode
from cmfl_export.images.foreign import is_foreign
from cmfl_export.images.inputs import iter_paths
from cmfl_export.images.status import ImageError, Status

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photo.heic", HEIC, "a HEIC/HEIF image, which is not decoded; convert it to PNG or JPEG"),
        ("PHOTO.HEIF", HEIC, "a HEIC/HEIF image"),
        ("renamed.jpg", HEIC, "a HEIC/HEIF image"),
        ("a.jxl", b"\xff\x0a" + bytes(50), "a JPEG XL image, .* with 'djxl photo.jxl photo.png'"),
        ("boxes.jpg", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "a JPEG XL image"),
        ("a.psd", b"8BPS" + bytes(50), "a Photoshop document"),
        ("a.svg", b"<svg xmlns='x'/>", "an SVG drawing"),
        ("a.nef", b"no header that is known", "a camera's raw file"),
    ],
)
def test_a_known_kind_is_a_row_with_advice(
    name: str, content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        decode(path)
    assert caught.value.status is Status.UNSUPPORTED
    if not name.endswith(".jpg"):
        assert is_foreign(name)
    assert list(iter_paths([str(tmp_path)])) == [str(path)]


def test_a_model_among_the_inputs_gets_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"\x08\x09\x12\x07pytorch" + bytes(50))
    with pytest.raises(ImageError, match="but a model; give it once, in front of the images") as caught:
        decode(path)
    assert caught.value.status is Status.NOT_AN_IMAGE


def test_folders_and_files_that_start_with_a_dot_are_passed_over(tmp_path: Path) -> None:
    for name in (".009-0.cmfl-ab.png", ".trash/a.png", "a.png", "sub/.b.heic", "sub/c.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(iter_paths([str(tmp_path)])) == [str(tmp_path / "a.png")]
    by_hand = str(tmp_path / ".009-0.cmfl-ab.png")
    assert list(iter_paths([by_hand])) == [by_hand]
