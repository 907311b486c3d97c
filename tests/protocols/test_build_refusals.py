"""What `build` refuses, with what words, and that a refusal changes nothing on disk."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from protocols import read_split
from protocols.build import build
from protocols.built import FILES
from tests.protocols.trees import numbered, plant


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = plant(tmp_path / "data", {"real": numbered(60), "fake": numbered(60), "few": numbered(1)})
    plant(root, {"empty": [], "texts": ["a.txt"], "real/inner": ["x.png"]})
    plant(tmp_path, {"outside": numbered(3), "data2": numbered(3)})
    return root


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(root: Path, out: str = "p", **options: Any) -> str:
    given: dict[str, Any] = {"real": ["real"], "attacks": [("a", "fake")]} | options
    before = snapshot(root.parent)
    with pytest.raises(CmflError) as caught:
        build(given.pop("data_root", root), root / out, **given)
    assert snapshot(root.parent) == before
    assert not [path for path in root.parent.rglob(".*") if path.is_dir()]
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data_root": "none"}, "the data root none is not a folder"),
        ({"real": ["none"]}, "none is not a folder, neither here nor in the data root"),
        ({"real": ["real/000.png"]}, "real/000.png is not a folder"),
        ({"real": ["../outside"]}, "the folder ../outside lies outside the data root"),
        ({"attacks": [("a", "../data2")]}, "the folder ../data2 lies outside the data root"),
        ({"real": ["empty"]}, "no image found in"),
        ({"attacks": [("a", "fake"), ("b", "texts")]}, "no image found in"),
        ({"real": []}, "a protocol needs real images"),
        ({"attacks": []}, "a protocol needs synthetic images"),
        ({"attacks": [("", "fake")]}, "the attack name ''"),
        ({"attacks": [("a", "fake"), ("A", "few")]}, "'a' and 'A' differ only in case"),
        ({"attacks": [("a", "real")]}, "real/000.png is given as real and 'a'"),
        ({"attacks": [("a", "real/inner")]}, "real/inner/x.png is given as real and 'a'"),
        ({"attacks": [("a", "fake"), ("b", "fake")]}, "fake/000.png is given as 'a' and 'b'"),
        ({"attacks": [("a", ".")]}, "is given as real and 'a'"),
        ({"hold_out": ["b"]}, "no attack 'b' to hold out; the attacks are a"),
        ({"hold_out": ["A"]}, "no attack 'A' to hold out; the attacks are a"),
        ({"shares": (0.5, 0.5)}, "the shares 0.5/0.5 must be three numbers"),
        ({"salt": "a\nb"}, "the salt 'a\\nb' must be printable"),
        ({"subject": "(none)"}, "gives no subject to 121 of 121 files"),
        ({"hold_out": ["a"]}, "shares than 0.7/0.15/0.15, or hold out fewer attacks"),
    ],
)
def test_refused(root: Path, options: dict[str, Any], expected: str) -> None:
    assert expected in refusal(root, **options)


def test_a_split_that_lacks_a_class_is_named(root: Path) -> None:
    text = refusal(root, attacks=[("a", "few")])
    assert re.search(r"but dev has \d+ real and 0 synthetic, eval has \d+ real and 0 synthetic; give", text)
    assert text.endswith("give more images or subjects, or other shares than 0.7/0.15/0.15")
    assert "dev has 0 real and " in refusal(root, real=["few"], attacks=[("a", "fake")])


def test_a_folder_that_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def deny(path: str) -> Any:
        if Path(path) == root / "real":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(CmflError, match=r"no image found in .*real; it must be readable"):
        build(root, root / "p", real=["real"], attacks=[("a", "fake")])


def test_links_to_a_file_of_another_kind(root: Path) -> None:
    (root / "fake" / "zz.png").symlink_to(root / "real" / "000.png")
    assert "real/000.png (which is fake/zz.png) is given as real and 'a'" in refusal(root)


def test_an_existing_protocol_is_replaced_only_by_force(root: Path) -> None:
    build(root, root / "p", real=["real"], attacks=[("a", "fake")])
    (root / "p" / "notes.md").write_text("mine")
    assert "already has a protocol (train.csv, dev.csv, eval.csv, protocol.toml)" in refusal(root, salt="x")
    for name in FILES[1:]:
        (root / "p" / name).unlink()
    assert "already has a protocol (train.csv)" in refusal(root)
    old = (root / "p" / "train.csv").read_bytes()
    built = build(root, root / "p", real=["real"], attacks=[("a", "fake")], salt="x", force=True)
    assert (root / "p" / "train.csv").read_bytes() != old
    assert read_split(root / "p" / "eval.csv") == built.splits["eval"]
    assert sorted(path.name for path in (root / "p").iterdir()) == sorted([*FILES, "notes.md"])
    assert [path for path in root.iterdir() if path.name.startswith(".")] == []


def test_the_output_may_be_an_empty_folder_but_no_file(root: Path) -> None:
    (root / "p").mkdir()
    build(root, root / "p", real=["real"], attacks=[("a", "fake")])
    assert sorted(path.name for path in (root / "p").iterdir()) == sorted(FILES)
    (root / "file").touch()
    assert "is not a folder" in refusal(root, "file")
    assert "cannot write" in refusal(root, "file/p")


@pytest.mark.parametrize("failing", range(8))
def test_all_files_or_none(root: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """A rename that fails, whichever it is, leaves the old protocol (a file is open elsewhere)."""
    build(root, root / "p", real=["real"], attacks=[("a", "fake")])
    rename, calls = Path.rename, 0

    def rename_or_fail(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing + 1:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    before = snapshot(root)
    monkeypatch.setattr(Path, "rename", rename_or_fail)
    with pytest.raises(CmflError, match=r"cannot write .*p: Permission denied"):
        build(root, root / "p", real=["real"], attacks=[("a", "fake")], salt="x", force=True)
    assert snapshot(root) == before
    build(root, root / "p", real=["real"], attacks=[("a", "fake")], salt="x", force=True)
    assert set(snapshot(root)) == set(before)
    assert snapshot(root) != before


def test_a_new_folder_appears_whole_or_not_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        assert "cannot write" in refusal(root, "deep/p")
    assert not (root / "deep").exists()
    assert build(root, root / "deep" / "p", real=["real"], attacks=[("a", "fake")]).ok
