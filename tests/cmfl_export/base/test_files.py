"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.base.files import sha256_of, whole_file, write_whole


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "model.onnx"
    with whole_file(target) as part:
        assert part.parent == target.parent
        assert part.suffix == ".onnx"
        part.write_bytes(b"half")
        assert not target.exists()
        part.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    assert names_in(target.parent) == ["model.onnx"]


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file(tmp_path: Path, reason: type[BaseException]) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")

    def fail() -> None:
        with whole_file(target) as part:
            part.write_bytes(b"new")
            raise reason

    with pytest.raises(reason):
        fail()
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model.onnx"]


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    with whole_file(target) as first, whole_file(target) as second:
        first.write_text("first")
        second.write_text("second")
    # The block of `first` ends last.
    assert target.read_text() == "first"
    assert names_in(tmp_path) == ["x.txt"]


def test_a_long_name(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".json")
    write_whole(target, b"{}")
    assert target.read_bytes() == b"{}"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """A temporary file's own 0600 would lock out the other users of a shared model folder."""
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_folder_in_the_way(tmp_path: Path) -> None:
    entered = False
    with pytest.raises(CmflError, match=f"cannot write {tmp_path}: it is a folder"), whole_file(tmp_path):
        entered = True
    assert not entered


def test_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CmflError, match=r"cannot write .*file.x.json: "):
        write_whole(tmp_path / "file" / "x.json", b"")


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.write_bytes", "pathlib.Path.replace"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "report.json"
    target.write_text("old")
    monkeypatch.setattr(call, full)
    with pytest.raises(CmflError, match=r"cannot write .*report\.json: No space left on device"):
        write_whole(target, b"new")
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["report.json"]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == expected
