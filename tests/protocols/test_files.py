"""The check of a protocol's files before training."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.images.decoding import open_rgb
from protocols import Sample, describe_missing, missing_files


def sample(name: str) -> Sample:
    return Sample(name, name, "")


def png(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def reasons(names: list[str], root: Path, *, decode: bool = False) -> dict[str, str]:
    found = missing_files([sample(n) for n in names], root, decode=open_rgb if decode else None)
    return {s.filename: reason for s, reason in found}


def test_finds_each_kind_and_keeps_the_order(tmp_path: Path) -> None:
    png(tmp_path / "good.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "good.png")
    names = ["none.png", "good.png", "empty.png", "folder.png", "link.png", "good.png/x.png", "dangling.png"]
    found = reasons([*names, "loop.png"], tmp_path)
    loop = found.pop("loop.png")
    assert "symbolic links" in loop
    assert list(found.items()) == [
        ("none.png", "not found"),
        ("empty.png", "empty"),
        ("folder.png", "not a file"),
        ("good.png/x.png", "not a directory"),
        ("dangling.png", "not found"),
    ]


def test_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png(tmp_path / "a.png")
    monkeypatch.setattr(os, "access", Mock(return_value=False))  # a real denial would not hold for root
    assert reasons(["a.png"], tmp_path) == {"a.png": "permission denied"}


def test_more_files_than_one_chunk(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(600)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "599.png").unlink()
    (tmp_path / "300.png").unlink()
    assert reasons(names, tmp_path) == {"300.png": "not found", "599.png": "not found"}


def test_decode_finds_damaged_images(tmp_path: Path) -> None:
    png(tmp_path / "good.png")
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("no image")
    names = ["good.png", "cut.png", "text.png", "none.png"]
    assert set(reasons(names, tmp_path)) == {"none.png"}
    damaged = reasons(names, tmp_path, decode=True)
    assert set(damaged) == {"cut.png", "text.png", "none.png"}
    assert all(damaged.values())


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="data root"):
        missing_files([sample("a.png")], tmp_path / "none")


def test_description_names_five_and_counts_the_rest(tmp_path: Path) -> None:
    missing = missing_files([sample(f"{i}\n.png") for i in range(7)], tmp_path)
    text = describe_missing(missing, 100, tmp_path)
    assert text.startswith(f"7 of 100 files cannot be used in {tmp_path}: '0\\n.png' (not found), ")
    assert text.endswith("'4\\n.png' (not found) and 2 more")
    assert "\n" not in text
    assert describe_missing(missing[:1], 1, tmp_path).endswith("'0\\n.png' (not found)")
