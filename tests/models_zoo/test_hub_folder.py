"""A model's folder as a repository of a hub: everything that a pull needs, and a card that hubs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError, UsageError
from models_zoo import places
from models_zoo.hub_folder import lay_out
from tests.cmfl_export.command import cmfl
from tests.models_zoo.folders import model_folder
from tests.models_zoo.hub_server import COMMIT, hub_of


def test_the_starter_scores_from_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = {path.name for path in lay_out(places.packaged() / "starter", tmp_path / "repository")}
    assert {"README.md", ".gitattributes", "manifest.toml", "card.md", "starter.onnx"} <= names
    monkeypatch.setenv("CMFL_CACHE", str(tmp_path_factory.mktemp("cache")))
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    with hub_of(tmp_path / "repository") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        pulled = Detector.from_pretrained(
            f"hf://owner/model@{COMMIT}/starter-int8.onnx", provider="onnxruntime"
        )
    assert pulled.predict(image) == Detector("starter:int8", provider="onnxruntime").predict(image)


def test_the_command(zoo: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "mine")
    done = cmfl("zoo", "describe", folder, "--hub", tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    assert "6 files for a hub in" in done.stdout + done.stderr
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert card == (folder / "card.md").read_text()


def test_whole_or_not_at_all(zoo: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "mine")
    (folder / "recipe.toml").write_text("epochs = 2\n")
    with pytest.raises(CmflError, match=r"recipe\.toml: its SHA-256 is"):
        lay_out(folder, tmp_path / "hub")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="exists and is not empty"):
        lay_out(folder, folder)
