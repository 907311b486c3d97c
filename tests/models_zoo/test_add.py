"""Adding and verifying: what is not as the manifest says does not get in, and is noticed later."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from models_zoo import places, registry
from models_zoo.add import add
from models_zoo.describe import describe
from models_zoo.listing import table
from models_zoo.manifest import MANIFEST
from models_zoo.verify import verify
from tests.models_zoo.folders import model_folder, write_weights


@pytest.fixture
def folder(zoo: Path, tmp_path: Path) -> Path:
    return model_folder(tmp_path, "mine")


def refused(folder: Path, expected: str) -> None:
    with pytest.raises(CmflError, match=expected) as caught:
        add(folder)
    assert "\n" not in str(caught.value)
    assert registry.names() == []
    # Nothing half-done is left behind.
    assert not places.own_models().exists() or not [p for p in places.own_models().iterdir() if p.is_dir()]


class TestAdd:
    def test_a_copy_of_what_is_listed(self, folder: Path) -> None:
        (folder / "notes.txt").write_text("of mine")
        model = add(folder)
        assert model.folder == places.own_models() / "mine"
        assert sorted(path.name for path in model.folder.iterdir()) == [
            "card.md",
            "manifest.toml",
            "mine.onnx",
            "recipe.toml",
        ]
        assert registry.get("mine") == model
        assert model.path_of_weights() == model.folder / "mine.onnx"
        assert verify("mine").ok

    def test_a_folder_of_another_name(self, folder: Path) -> None:
        assert add(folder.rename(folder.with_name("Any Name"))).folder.name == "mine"

    def test_no_manifest(self, zoo: Path, tmp_path: Path) -> None:
        refused(tmp_path, r"manifest\.toml: No such file or directory; the folder must hold what")
        refused(tmp_path / "absent", "No such file or directory")

    def test_a_missing_file(self, folder: Path) -> None:
        (folder / "recipe.toml").unlink()
        refused(folder, r"recipe\.toml: No such file")

    @pytest.mark.parametrize("name", ["mine.onnx", "card.md", "manifest.toml"])
    def test_symbolic_links(self, folder: Path, name: str) -> None:
        (folder / name).rename(folder / "real")
        (folder / name).symlink_to("real")
        refused(folder, f"{name} is a symbolic link")

    def test_a_folder_in_the_place_of_a_file(self, folder: Path) -> None:
        (folder / "card.md").unlink()
        (folder / "card.md").mkdir()
        refused(folder, r"card\.md is not a file")

    def test_a_pipe_in_the_place_of_a_file(self, folder: Path) -> None:
        (folder / "card.md").unlink()
        os.mkfifo(folder / "card.md")
        refused(folder, r"card\.md is not a file")

    def test_other_content(self, folder: Path) -> None:
        text = (folder / "card.md").read_text()
        (folder / "card.md").write_text(text + "more")
        refused(folder, r"card\.md: its size is not the \d+ bytes")
        (folder / "card.md").write_text(text[:-2] + "x\n")
        refused(folder, r"card\.md: its SHA-256 is .*; if the file is right, run: cmfl zoo describe FOLDER")

    def test_path_tricks(self, folder: Path) -> None:
        text = (folder / MANIFEST).read_text()
        (folder.parent / "outside.md").write_bytes((folder / "card.md").read_bytes())
        (folder / MANIFEST).write_text(text.replace('"card.md"', '"../outside.md"'))
        refused(folder, "must be the name of one file")

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('name = "mine"', 'name = "other"', "name: its card says 'mine', the manifest 'other'"),
            ("threshold = 0.5", "threshold = 0.25", "threshold: its card says 0.5, the manifest 0.25"),
            ('licence = "research only"', 'licence = "MIT"', "licence: its card says 'research only'"),
            ('"fp32"', '"fp16"', "precision: its card says 'fp32', the manifest 'fp16'"),
        ],
    )
    def test_weights_that_say_otherwise(self, folder: Path, old: str, new: str, expected: str) -> None:
        text = (folder / MANIFEST).read_text()
        assert old in text
        (folder / MANIFEST).write_text(text.replace(old, new))
        refused(folder, expected)

    def test_existing_ones_are_kept(self, folder: Path) -> None:
        add(folder)
        describe(folder, version="2.0.0")
        with pytest.raises(CmflError, match=r"already the name of one of your own models; .* or --force"):
            add(folder)
        assert registry.get("mine").manifest.version == "1.0.0"
        add(folder, force=True)
        assert registry.get("mine").manifest.version == "2.0.0"
        assert [path.name for path in places.own_models().iterdir() if path.is_dir()] == ["mine"]

    def test_a_packaged_one_is_shadowed_by_force_alone(self, folder: Path, zoo: Path) -> None:
        model_folder(zoo, "mine", "3.0.0")
        with pytest.raises(CmflError, match="mine is already the name of a packaged model"):
            add(folder)
        assert registry.get("mine").place == registry.PACKAGED
        add(folder, force=True)
        assert registry.get("mine").place == registry.OWN


class TestVerify:
    def test_what_was_changed_later(self, folder: Path) -> None:
        model = add(folder)
        (model.folder / "card.md").write_text("changed")
        report = verify("mine")
        assert not report.ok
        assert [check.file.name for check in report.checks if check.faults] == ["card.md"]
        assert report.lines()[-1] == "mine 1.0.0 DOES NOT AGREE with its manifest"

    def test_weights_not_here(self, folder: Path) -> None:
        model = add(folder)
        (model.folder / "mine.onnx").unlink()
        report = verify("mine")
        assert not report.ok
        assert "not here; run: cmfl zoo pull mine" in report.lines()[0]

    def test_another_variant_need_not_be_here(self, zoo: Path, tmp_path: Path) -> None:
        model = add(model_folder(tmp_path, "mine", int8=True))
        (model.folder / "mine-int8.onnx").unlink()
        report = verify("mine")
        assert report.ok
        assert any("not here, not needed" in line for line in report.lines())

    def test_a_card_that_says_otherwise(self, folder: Path, zoo: Path) -> None:
        text = (folder / MANIFEST).read_text().replace("threshold = 0.5", "threshold = 0.75")
        (folder / MANIFEST).write_text(text)
        folder.rename(zoo / "mine")
        assert verify("mine").checks[0].faults == ("threshold: its card says 0.5, the manifest 0.75",)

    def test_no_model(self, zoo: Path) -> None:
        with pytest.raises(CmflError, match="mine: no such model; the zoo has: nothing yet"):
            verify("mine")


def test_a_card_inside_that_cannot_be_read(folder: Path) -> None:
    (folder / "mine.onnx").write_bytes(b"no model")
    text = (folder / MANIFEST).read_text()
    old = next(line for line in text.splitlines() if line.startswith("sha256"))
    size = next(line for line in text.splitlines() if line.startswith("size"))
    text = text.replace(old, f'sha256 = "{hashlib.sha256(b"no model").hexdigest()}"', 1)
    (folder / MANIFEST).write_text(text.replace(size, "size = 8", 1))
    refused(folder, r"mine\.onnx is not an ONNX file")


def test_faulty_ones_do_not_hide_the_others(folder: Path, zoo: Path) -> None:
    add(folder)
    (zoo / "broken").mkdir()
    (zoo / "broken" / MANIFEST).write_text("schema = 1")
    lines = table()
    assert lines[1].startswith("broken")
    assert "cannot be used" in lines[1]
    assert lines[2].split()[:5] == ["mine", "1.0.0", "fp32", "own", "here"]


def test_a_folder_called_otherwise_than_its_model(zoo: Path) -> None:
    write_weights(zoo / "x.onnx", "x")
    model_folder(zoo, "mine").rename(zoo / "other")
    with pytest.raises(CmflError, match="name: 'mine' must be the name of the folder, 'other'"):
        registry.find("other")
