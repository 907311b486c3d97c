"""What MODEL means: files before names, names before nothing; and no surprise without a model."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError
from cmfl_export.base.files import sha256_of
from cmfl_export.evaluate.calibration import calibrate
from cmfl_export.zoo import card_of, find_variants, is_model, model_and_inputs, resolve, starter_label
from models_zoo import registry
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import cmfl, the_error
from tests.models_zoo.folders import model_folder, write_weights


@pytest.fixture
def mine(zoo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The packaged model `mine` in two variants; the working folder is an empty one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return model_folder(zoo, "mine", int8=True)


class TestResolve:
    def test_names(self, mine: Path) -> None:
        assert resolve("mine") == resolve("mine:fp32") == mine / "mine.onnx"
        assert resolve("mine:int8") == mine / "mine-int8.onnx"
        assert card_of("mine:int8").precision == "int8"
        assert Detector("mine", provider="cpu").path == mine / "mine.onnx"

    def test_a_file_comes_first(self, mine: Path) -> None:
        write_weights(Path("mine"), "of the folder")
        assert resolve("mine") == Path("mine")
        assert card_of("mine").name == "of the folder"

    def test_a_folder_is_no_model(self, mine: Path) -> None:
        Path("mine").mkdir()
        assert resolve("mine") == mine / "mine.onnx"
        Path("other").mkdir()
        with pytest.raises(CmflError, match="other is a folder, not a model"):
            card_of("other")

    def test_a_path_is_no_name(self, mine: Path) -> None:
        for model in ("./mine", Path("mine"), "sub/mine", "mine.onnx", "../mine"):
            with pytest.raises(CmflError, match=r"no such model file$"):
                resolve(model)

    def test_unknown_names(self, mine: Path) -> None:
        with pytest.raises(CmflError, match=r"^mini: no such model file or model of the zoo; .*: mine$"):
            resolve("mini")
        with pytest.raises(CmflError, match="mine has no variant 'fp16'; it has: fp32, int8"):
            resolve("mine:fp16")

    def test_weights_that_are_not_here(self, mine: Path) -> None:
        (mine / "mine-int8.onnx").unlink()
        with pytest.raises(
            CmflError, match=r"the weights of mine:int8 are not .*; run: cmfl zoo pull mine:int8"
        ):
            resolve("mine:int8")

    def test_damage_of_the_same_size(self, mine: Path) -> None:
        weights = mine / "mine.onnx"
        assert resolve("mine") == weights
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        with pytest.raises(CmflError, match=r"mine\.onnx is not the file in the manifest of mine"):
            resolve("mine")

    def test_hashed_once(self, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hashed: list[Path] = []

        def recorded(path: Path) -> str:
            hashed.append(path)
            return sha256_of(path)

        monkeypatch.setattr(registry, "sha256_of", recorded)
        resolve("mine")
        resolve("mine")
        assert len(hashed) == 1
        os.utime(mine / "mine.onnx", (1, 1))
        resolve("mine")
        assert len(hashed) == 2

    def test_a_file_of_ones_own_is_not_hashed(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "find", None)
        assert resolve(str(tiny)) == tiny


class TestStarter:
    def test_none_is_packaged(self, zoo: Path) -> None:
        with pytest.raises(CmflError, match=r"^no starter model is packaged with this version; name a model"):
            Detector()

    def test_without_a_model(self, mine: Path, faces: Path, zoo: Path) -> None:
        model_folder(zoo, "starter")
        # Not given, it is not looked for among files.
        Path("starter").write_text("no model")
        detector = Detector(provider="cpu")
        assert detector.card.name == "starter"
        assert detector.predict(faces / "a.png").decision == "synthetic"
        assert starter_label() == "starter 1.0.0 (fp32)"


class TestModelAndInputs:
    @pytest.mark.parametrize("first", ["m.onnx", "sub/M.ONNX", "mine", "mine:int8", "mine:nope"])
    def test_the_first_is_the_model(self, mine: Path, first: str) -> None:
        assert model_and_inputs([first, "a", "b"], None) == (first, ["a", "b"])

    @pytest.mark.parametrize("first", ["a.jpg", "-", "*", "sub/photos", "here", "IMG_1", "./mine"])
    def test_all_are_inputs(self, mine: Path, first: str) -> None:
        Path("here").mkdir()
        assert model_and_inputs([first, "m.onnx"], None) == (None, [first, "m.onnx"])

    def test_the_option_overrides(self, mine: Path) -> None:
        assert model_and_inputs(["mine", "m.onnx"], "x") == ("x", ["mine", "m.onnx"])

    def test_both_a_name_and_a_folder(self, mine: Path) -> None:
        Path("mine").mkdir()
        with pytest.raises(
            CmflError, match=r"mine is a model of the zoo and also .* --model mine or \./mine"
        ):
            model_and_inputs(["mine", "photos"], None)
        assert model_and_inputs(["./mine"], None) == (None, ["./mine"])

    def test_nothing_of_this_name(self, mine: Path) -> None:
        for first in ("mini", "mini:int8"):
            with pytest.raises(CmflError, match=f"^{first}: neither an image, nor a folder, nor a model"):
                model_and_inputs([first, "photos"], None)

    def test_no_input_left(self, mine: Path) -> None:
        with pytest.raises(CmflError, match="mine is the model; give images to score after it"):
            model_and_inputs(["mine"], None)


class TestCommands:
    """As a user runs them, on a model that was added."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        environment = {"CMFL_CACHE": str(tmp_path / "cache"), "CMFL_ZOO": ""}
        folder = model_folder(tmp_path, "mine")
        result = cmfl("zoo", "add", folder, **environment)
        assert result.returncode == 0, result
        return environment

    def test_zoo(self, environment: dict[str, str], tmp_path: Path) -> None:
        listed = cmfl("zoo", "list", **environment).stdout
        assert re.search(r"^mine +1\.0\.0 +fp32 +own +here +The mean of all pixels\.$", listed, re.MULTILINE)
        assert "research only" in cmfl("zoo", "show", "mine", **environment).stdout
        assert "already here" in cmfl("zoo", "pull", "mine", **environment).stdout
        assert cmfl("zoo", "verify", "mine", **environment).returncode == 0
        (tmp_path / "cache" / "models" / "mine" / "card.md").write_text("changed")
        result = cmfl("zoo", "verify", "mine", **environment)
        assert result.returncode == 1
        assert "DOES NOT AGREE" in result.stdout
        assert "--force" in the_error(cmfl("zoo", "add", tmp_path / "mine", **environment))
        assert "no such model" in the_error(cmfl("zoo", "show", "other", **environment))
        assert "2.0.0" in cmfl("zoo", "describe", tmp_path / "mine", "--version", "2.0.0").stdout

    def test_names_of_models(self, environment: dict[str, str], faces: Path, tmp_path: Path) -> None:
        result = cmfl("predict", "mine", faces / "a.png", "--report", tmp_path / "r.html", **environment)
        assert result.returncode == 0, result
        assert ",0.2,0.2,0.2,synthetic,ok," in result.stdout
        assert "no model was given" not in result.stderr
        result = cmfl("predict", faces / "a.png", "--model", "mine", **environment)
        assert result.returncode == 0, result
        assert cmfl("show", "mine", **environment).stdout.startswith("name ")

    def test_without_a_model(self, environment: dict[str, str], faces: Path, tmp_path: Path) -> None:
        folder = model_folder(tmp_path, "starter", "7.0.0")
        assert cmfl("zoo", "add", folder, "--force", **environment).returncode == 0
        result = cmfl("predict", faces / "a.png", **environment)
        assert result.returncode == 0, result
        assert ",0.2,0.2,0.2,synthetic,ok," in result.stdout
        assert "scored with starter 7.0.0 (fp32), as no model was given" in result.stderr.splitlines()


def test_a_calibrated_copy_does_not_replace_the_zoos(mine: Path, tiny_data: tuple[Path, Path]) -> None:
    protocol, root = tiny_data
    with pytest.raises(CmflError, match=r"mine\.onnx is the model itself"):
        calibrate("mine", mine / "mine.onnx", protocol=protocol, data_root=root)
    assert resolve("mine") == mine / "mine.onnx"


class TestVariants:
    @pytest.fixture
    def variants(self, tmp_path: Path) -> list[Path]:
        """int8 and fp32 of one network."""
        names = ("int8", "fp32")
        return [tiny_model.variant(tmp_path / f"{precision}.onnx", precision) for precision in names]

    def test_fp32_comes_first_and_none_twice(self, variants: list[Path]) -> None:
        found = find_variants([str(path) for path in [*variants, *variants]])
        assert [model.path for model in found] == [variants[1], variants[0]]
        assert [model.label for model in found] == ["fp32", "int8"]

    def test_two_of_one_precision_have_their_file_names(self, variants: list[Path], tmp_path: Path) -> None:
        other = tiny_model.variant(tmp_path / "other.onnx", "int8")
        found = find_variants([str(path) for path in [*variants, other]])
        assert [model.label for model in found] == ["fp32", "int8 int8", "int8 other"]

    def test_different_networks_are_refused(self, variants: list[Path], tmp_path: Path) -> None:
        other = tiny_model.variant(tmp_path / "other.onnx", "fp32", "one_stream")
        with pytest.raises(CmflError, match="the models are different networks; give the variants of one"):
            find_variants([str(variants[0]), str(other)])

    def test_a_name_of_the_zoo_stands_for_what_is_here(self, zoo: Path) -> None:
        folder = model_folder(zoo, int8=True)
        found = find_variants(["mine"])
        assert [model.path.name for model in found] == ["mine.onnx", "mine-int8.onnx"]
        assert [model.path.name for model in find_variants(["mine:int8"])] == ["mine-int8.onnx"]
        (folder / "mine.onnx").unlink()
        assert [model.path.name for model in find_variants(["mine"])] == ["mine-int8.onnx"]


def test_is_model(mine: Path) -> None:
    assert is_model("mine")
    assert is_model("mine:int8")
    assert is_model("nowhere.ONNX")
    assert not is_model("mine.jpg")
    Path("mine").mkdir()
    assert not is_model("mine")
