"""Videos among the inputs: sampled where that was asked for, else passed over and said."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cmfl_export.base.errors import UsageError
from cmfl_export.images import ImageError, Located, Status, count_paths, decode, is_reference, iter_paths
from cmfl_export.images.sources import frame_of, split_frame
from tests.cmfl_export import videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture, and below it a video of two seconds."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "a.png")
    videos.write(tmp_path / "in" / "sub" / "B.MP4", videos.moving(50))
    return tmp_path / "in"


def reason(path: str) -> Status:
    with pytest.raises(ImageError) as caught:
        decode(path)
    return caught.value.status


def test_a_folder(folder: Path) -> None:
    passed: list[str] = []
    picture, clip = str(folder / "a.png"), str(folder / "sub" / "B.MP4")
    assert list(iter_paths([str(folder)], passed_over=passed.append)) == [picture]
    assert passed == [clip]
    passed.clear()
    expected = [picture, f"{clip}::0.000s", f"{clip}::1.000s"]
    assert list(iter_paths([str(folder)], every=1.0, passed_over=passed.append)) == expected
    assert passed == []
    assert list(iter_paths([f"{folder}/**/*"], every=1.0)) == expected


def test_a_list(folder: Path, tmp_path: Path) -> None:
    clip = str(folder / "sub" / "B.MP4")
    (tmp_path / "list.txt").write_text(f"{clip}\n{clip}::0.040s\n")
    assert list(iter_paths([str(tmp_path / "list.txt")], every=1.0)) == [
        *(f"{clip}::0.000s", f"{clip}::1.000s", f"{clip}::0.040s")
    ]
    assert list(iter_paths([str(tmp_path / "list.txt")])) == [clip, f"{clip}::0.040s"]
    # What is not sampled has a status, and the advice.
    assert reason(clip) is Status.UNSUPPORTED
    assert reason(str(folder / "sub" / "absent.mp4")) is Status.NOT_FOUND


def test_counting(folder: Path) -> None:
    assert count_paths([str(folder)]) == 1
    assert count_paths([str(folder)], every=1.0) is None
    assert count_paths([str(folder / "a.png")], every=1.0) == 1


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_in_an_archive(folder: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(folder / "a.png", "a.png")
            packed.write(folder / "sub" / "B.MP4", "b.mp4")
            packed.writestr("__MACOSX/._b.mp4", b"no video")
    else:
        with tarfile.open(archive, "w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(folder / "a.png", "a.png")
            tar.add(folder / "sub" / "B.MP4", "b.mp4")
    passed: list[str] = []
    assert list(iter_paths([str(archive)], passed_over=passed.append)) == [f"{archive}::a.png"]
    assert passed == ["b.mp4"]
    found = list(iter_paths([str(archive)], every=1.0))
    assert found == [f"{archive}::a.png", f"{archive}::b.mp4"]
    assert reason(found[1]) is Status.UNSUPPORTED
    assert reason(f"{archive}::b.mp4") is Status.UNSUPPORTED


def test_at_an_address() -> None:
    for every in (None, 1.0):
        found = list(iter_paths(["s3://bucket/clip.mp4", "https://example.org/clip.webm"], every=every))
        assert [reason(path) for path in found] == [Status.UNSUPPORTED] * 2


@pytest.mark.parametrize("every", [0.0, 0.0004, -1.0, float("nan"), 1e9])
def test_intervals_have_limits(every: float) -> None:
    with pytest.raises(UsageError, match=r"from 0\.001 to 86400"):
        iter_paths([], every=every)


def test_the_text_of_a_frame() -> None:
    assert frame_of("a/b.mp4", 12_030) == "a/b.mp4::12.030s"
    assert split_frame("a/b.mp4::12.030s") == ("a/b.mp4", 12_030)
    assert split_frame("a/b.MKV::7s") == ("a/b.MKV", 7000)
    assert split_frame("a/b.mp4::0.5s") == ("a/b.mp4", 500)
    for text in (
        "a.mp4",
        "a.mp4::",
        "a.mp4::s",
        "a.mp4::1",
        "a.mp4::-1s",
        "a.mp4::1.0000s",
        "a.jpg::1s",
        "::1s",
    ):
        assert split_frame(text) is None
    assert split_frame("https://a/b.mp4::1s") is None
    assert is_reference("b.mp4::1s")
    assert not isinstance("b.mp4::1s", Located)
