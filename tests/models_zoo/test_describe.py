"""Describing a folder: the manifest and the facts of its card.md follow from the files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.base.files import sha256_of
from cmfl_export.export import verify_everywhere
from models_zoo.describe import describe
from models_zoo.listing import facts
from models_zoo.manifest import MANIFEST, Manifest
from tests.models_zoo.folders import model_folder, write_weights


def interval(value: float | None) -> dict[str, float | None]:
    return {
        "value": value,
        "low": None if value is None else value / 2,
        "high": None if value is None else value * 2,
    }


def metrics_file(path: Path, sha256: str, *, d_eer: float | None = 0.125) -> Path:
    """A metrics.json as `cmfl evaluate` writes it, with one figure that is chosen."""
    keys = ["d_eer_threshold", "bpcer10", "bpcer20", "bpcer100", "apcer", "bpcer", "auc"]
    keys += ["average_precision", "accuracy", "ece", "brier"]
    heads = {
        "p_real": {"d_eer": interval(d_eer)} | {key: interval(0.25) for key in keys},
        "p_real_rgb": {"d_eer": interval(0.375)} | {key: interval(0.25) for key in keys},
    }
    conditions = [
        {"label": label} | {key: interval(0.25) for key in ("d_eer", "apcer", "bpcer")}
        for label in ("as they are", "jpeg 75")
    ]
    group = {"images": 6, "scored": 6, "d_eer": 0.125, "auc": None, "median": 0.5}
    model = {
        "sha256": sha256,
        "threshold": 0.5,
        "threshold_source": "made up",
        "heads": heads,
        "attacks": [group | {"name": "a|b", "apcer": interval(0.25)}],
        "sources": [group | {"name": "ffhq", "bpcer": interval(0.25), "d_eer": None}],
        "degradations": conditions,
    }
    other = model | {"sha256": "0" * 64}
    split = {"name": "faces/eval", "n_real": 5, "n_attack": 6, "subjects": 11}
    path.write_text(json.dumps({"schema": 1, "split": split, "models": [other, model]}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path, "mine", int8=True)


def test_facts_come_from_the_files(folder: Path) -> None:
    manifest = Manifest.read(folder / MANIFEST)
    assert (manifest.name, manifest.version, manifest.licence) == ("mine", "1.0.0", "research only")
    assert manifest.default == "fp32"
    assert [(f.name, f.variant, f.threshold) for f in manifest.files] == [
        ("mine-int8.onnx", "int8", 0.5),
        ("mine.onnx", "fp32", 0.5),
        ("card.md", "", None),
        ("recipe.toml", "", None),
    ]
    for file in manifest.files:
        assert (file.size, file.sha256) == (
            (folder / file.name).stat().st_size,
            sha256_of(folder / file.name),
        )


def test_again_after_a_change(folder: Path) -> None:
    describe(folder, default="int8", url="https://example.org/zoo/")
    (folder / "recipe.toml").write_text("epochs = 2\n")
    (folder / "LICENSE").write_text("terms")
    (folder / ".hidden").write_text("not of the model")
    manifest = describe(folder, version="1.0.1")
    assert (manifest.version, manifest.description) == ("1.0.1", "The mean of all pixels.")
    assert manifest.default == "int8"
    assert manifest.weights_of("fp32").urls == ("https://example.org/zoo/mine.onnx",)
    assert [file.name for file in manifest.documents] == ["LICENSE", "card.md", "recipe.toml"]
    assert manifest.documents[2].sha256 == sha256_of(folder / "recipe.toml")
    assert describe(folder) == manifest


def test_figures(folder: Path, tmp_path: Path) -> None:
    path = metrics_file(tmp_path / "metrics.json", sha256_of(folder / "mine.onnx"))
    (metrics,) = describe(folder, metrics=[path]).metrics
    assert (metrics.split, metrics.variant, metrics.real, metrics.synthetic) == ("faces/eval", "fp32", 5, 6)
    assert metrics.figures["d_eer"] == (0.125, 0.0625, 0.25)
    card = (folder / "card.md").read_text()
    assert '- {type: d_eer, name: "D-EER, 95 % interval 0.0625 to 0.2500", value: 0.1250}' in card
    assert "| D-EER | 12.5 % [6.2, 25.0] | 37.5 % [18.8, 75.0] |" in card
    assert "| a&#124;b | 6 | 25.0 % [12.5, 50.0] | 12.5 % |" in card
    assert "| ffhq | 6 | 25.0 % [12.5, 50.0] | - |" in card
    assert "| jpeg 75 | 25.0 % [12.5, 50.0] | 25.0 % [12.5, 50.0] | 25.0 % [12.5, 50.0] |" in card
    assert describe(folder).metrics == (metrics,)
    # A later measurement on the same split takes the place of the earlier.
    metrics_file(path, sha256_of(folder / "mine.onnx"), d_eer=None)
    assert "d_eer" not in describe(folder, metrics=[path]).metrics[0].figures


def test_prose_is_the_authors(folder: Path, tmp_path: Path) -> None:
    card = folder / "card.md"
    text = card.read_text()
    assert text.startswith('---\nlicense: other\nlicense_name: "research-only"\n')
    assert "The mean of all pixels." in text
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    card.write_text(f"---\nold: yes\n---\n# Mine\n\nBefore.\n{begin}\nold\n{end}\nAfter.\n---\nLast.\n")
    path = metrics_file(tmp_path / "metrics.json", sha256_of(folder / "mine.onnx"))
    describe(folder, metrics=[path])
    front, prose = card.read_text().removeprefix("---\n").split("---\n", 1)
    assert "old: yes" not in front
    assert re.fullmatch(
        rf"# Mine\n\nBefore\.\n{begin}\n### .*\n{end}\nAfter\.\n---\nLast\.\n", prose, re.DOTALL
    )
    before = card.read_text()
    describe(folder)
    assert card.read_text() == before


def test_known_licences(tmp_path: Path) -> None:
    write_weights(tmp_path / "m" / "m.onnx", "m", licence="CC-BY-NC-4.0")
    (tmp_path / "m" / "recipe.toml").write_text("epochs = 1\n")
    describe(tmp_path / "m", version="1", description="x")
    assert (tmp_path / "m" / "card.md").read_text().startswith("---\nlicense: cc-by-nc-4.0\nlibrary_name")


def test_shown(folder: Path, zoo: Path, tmp_path: Path) -> None:
    describe(folder, metrics=[metrics_file(tmp_path / "m.json", sha256_of(folder / "mine.onnx"))])
    (folder / "mine-int8.onnx").unlink()
    folder.rename(zoo / "mine")
    lines = facts("mine")
    assert any(re.fullmatch(r"fp32 \(default\) +0\.5 +0\.0 +\w{12} +.*/mine\.onnx", line) for line in lines)
    assert any(line.endswith("not here: cmfl zoo pull mine:int8") for line in lines)
    assert "faces/eval (fp32): 5 real, 6 synthetic" in lines
    assert any(re.fullmatch(r"D-EER +12\.5 % \[6\.2, 25\.0\]", line) for line in lines)


class TestRefusals:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="is not a folder; give the one with"):
            describe(tmp_path / "absent")

    def test_needed_the_first_time(self, folder: Path) -> None:
        (folder / MANIFEST).unlink()
        with pytest.raises(CmflError, match=r"no manifest\.toml yet; give --version and --description"):
            describe(folder, version="1.0.0")

    def test_no_recipe(self, folder: Path) -> None:
        (folder / "recipe.toml").unlink()
        with pytest.raises(CmflError, match=r"recipe\.toml is missing; copy config\.toml"):
            describe(folder)

    def test_no_weights(self, folder: Path) -> None:
        for path in folder.glob("*.onnx"):
            path.unlink()
        with pytest.raises(CmflError, match=r"has no \.onnx file"):
            describe(folder)

    def test_two_of_one_variant(self, folder: Path) -> None:
        write_weights(folder / "second.onnx", "mine")
        with pytest.raises(CmflError, match="variant: 'fp32' is there twice"):
            describe(folder)

    def test_cards_that_disagree(self, folder: Path) -> None:
        write_weights(folder / "second.onnx", "other", "fp16")
        with pytest.raises(CmflError, match=r"the cards in the \.onnx files disagree about the name"):
            describe(folder)

    def test_a_folder_in_it(self, folder: Path) -> None:
        (folder / "sub").mkdir()
        with pytest.raises(CmflError, match="sub is not a regular file; a model's folder"):
            describe(folder)

    def test_an_http_address(self, folder: Path) -> None:
        before = (folder / MANIFEST).read_bytes()
        with pytest.raises(CmflError, match="must be a list of https addresses"):
            describe(folder, url="http://example.org")
        assert (folder / MANIFEST).read_bytes() == before

    def test_figures_of_other_files(self, folder: Path, tmp_path: Path) -> None:
        path = metrics_file(tmp_path / "metrics.json", "1" * 64)
        with pytest.raises(CmflError, match=r"metrics\.json has no figures of these weights"):
            describe(folder, metrics=[path])

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"split": {}, "models": [{"sha256": []}]}', "3"])
    def test_no_figures(self, folder: Path, tmp_path: Path, text: str) -> None:
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(CmflError, match=r"metrics\.json is not a metrics\.json of cmfl evaluate"):
            describe(folder, metrics=[tmp_path / "metrics.json"])


class TestParity:
    @pytest.fixture
    def matrix(self, folder: Path, tmp_path: Path) -> Path:
        """The matrix of the folder's files on one image, as `cmfl verify --everywhere` writes it."""
        Image.fromarray(np.full((224, 224, 3), 100, np.uint8)).save(tmp_path / "a.png")
        found = [str(folder / "mine.onnx"), str(folder / "mine-int8.onnx")]
        verify_everywhere(found, [str(tmp_path / "a.png")], out=tmp_path / "matrix.json")
        return tmp_path / "matrix.json"

    def test_the_card_keeps_the_matrix(self, folder: Path, matrix: Path) -> None:
        manifest = describe(folder, version="1.0.0", description="d", parity=matrix)
        assert "parity.json" in [file.name for file in manifest.files]
        assert (folder / "parity.json").read_bytes() == matrix.read_bytes()
        text = (folder / "card.md").read_text()
        assert "1 image; against mine.onnx in ONNX Runtime, unoptimised." in text
        assert re.search(r"^\| OpenVINO \| int8 \| \d\.\de[-+]\d\d \|", text, re.MULTILINE)
        # Again, it takes the place of the former one.
        describe(folder, parity=matrix)
        assert (folder / "card.md").read_text().count("against mine.onnx") == 1

    def test_of_other_files(self, folder: Path, matrix: Path) -> None:
        of_int8 = sha256_of(folder / "mine-int8.onnx")
        matrix.write_text(matrix.read_text().replace(of_int8, "0" * 64))
        with pytest.raises(CmflError, match=r"about other files than those in the folder \(int8\)"):
            describe(folder, version="1.0.0", description="d", parity=matrix)
        assert not (folder / "parity.json").exists()

    def test_no_matrix(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "m.json").write_text("{}")
        with pytest.raises(CmflError, match="not the JSON of cmfl verify --everywhere"):
            describe(folder, version="1.0.0", description="d", parity=tmp_path / "m.json")
