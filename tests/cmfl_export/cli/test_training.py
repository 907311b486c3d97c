"""cmfl train's options, cmfl export and cmfl verify as a user runs them, and what works without the training
packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest.mock import Mock

import pytest
import torch

from cmfl_export import cli
from tests.cmfl_export.command import ENVIRONMENT, TRAINING, cmfl, imported, the_error
from training.config import HEADINGS, TrainConfig
from training.model import CmflNet
from training.weights import save_weights


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as training leaves it, of a one_stream rgb network."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    config = TrainConfig(protocol="p", architecture="one_stream", spectra="rgb", loss="bce")
    save_weights(CmflNet("one_stream", "rgb"), folder / "best.safetensors", config)
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> subprocess.CompletedProcess[str]:
    return cmfl(
        "export", run, "-o", run / "rgb.onnx", "--outputs", "heatmap, embedding", "--threshold", "0.4"
    )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `cmfl train` hands over, with nothing trained."""
    seen: dict[str, Any] = {}

    def train_from(out: Path, **options: object) -> Mock:
        seen.update(options, out=out)
        return Mock(lines=list)

    monkeypatch.setattr("training.fit.train_from", train_from)
    return seen


def run_train(*arguments: str) -> None:
    assert not cli.app(["train", "-o", "run", *arguments], standalone_mode=False)


OTHER_VALUES = {int: 48, float: 0.75, str: "elsewhere"}


def another(field: Field[Any]) -> object:
    """A value of the field's type that is not its default."""
    kind = get_type_hints(TrainConfig)[field.name]
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != field.default)
    return not field.default if kind is bool else OTHER_VALUES[kind]


class TestOptionsOfTrain:
    @pytest.mark.parametrize("field", fields(TrainConfig), ids=lambda field: field.name)
    def test_every_field_is_an_option(self, field: Field[Any], given: dict[str, Any]) -> None:
        name, value = field.name.replace("_", "-"), another(field)
        words = (
            [f"--{name}", str(value)] if type(value) is not bool else [f"--{'' if value else 'no-'}{name}"]
        )
        run_train(*words)
        assert given["overrides"] == {field.name: value}
        assert type(given["overrides"][field.name]) is type(value)

    def test_a_value_that_is_the_default_is_given_all_the_same(self, given: dict[str, Any]) -> None:
        """It takes the place of what a preset or a file says."""
        run_train("--preset", "paper", "--batch-size", str(TrainConfig.batch_size))
        assert given["overrides"] == {"batch_size": TrainConfig.batch_size}
        assert given["preset"] == "paper"

    def test_nothing_given(self, given: dict[str, Any]) -> None:
        run_train()
        assert given == {
            "out": Path("run"),
            "preset": None,
            "file": None,
            "overrides": {},
            "resume": False,
            "skip_missing": False,
            "check_images": True,
        }

    def test_help_lists_every_option_under_its_heading(self) -> None:
        text = cmfl("train", "--help").stdout
        sections = dict(re.findall(r"^(\w+):\n((?:  .*\n)+)", text, re.MULTILINE))
        assert list(sections) == ["Options", *HEADINGS]
        for field in fields(TrainConfig):
            setting = get_type_hints(TrainConfig, include_extras=True)[field.name].__metadata__[0]
            (line,) = re.findall(rf"^  --{field.name.replace('_', '-')} .*", text, re.MULTILINE)
            assert line in sections[setting.heading]
            default = f" [default: {field.default}]" if type(field.default) in (int, float) else ""
            assert setting.help + default in " ".join(text.split())
        assert "--out" in sections["Output"]
        assert "--skip-missing" in sections["Data"]

    @pytest.mark.parametrize(
        ("option", "choices"),
        [
            ("--loss", "'cmfl', 'bce'"),
            ("--architecture", "'two_stream', 'one_stream'"),
            ("--monitor", "'auto', 'dev_loss', 'dev_d_eer', 'loo_d_eer'"),
            ("--preset", "'paper'"),
        ],
    )
    def test_a_wrong_choice_is_refused_with_the_choices(self, option: str, choices: str) -> None:
        line = the_error(cmfl("train", "-o", "run", option, "other"))
        assert option in line
        assert choices in line


class TestExportAndVerify:
    def test_export(self, run: Path, exported: subprocess.CompletedProcess[str]) -> None:
        assert exported.returncode == 0, exported
        pattern = (
            rf"{run}/rgb\.onnx: one_stream rgb, fp32, outputs p_real, embedding, heatmap_rgb; "
            r"max \|Δp\| \d\.\de-\d\d against PyTorch on 7 built-in drawings\n"
        )
        assert re.fullmatch(pattern, exported.stdout)
        assert exported.stderr == ""
        assert sorted(path.name for path in run.iterdir()) == ["best.safetensors", "rgb.onnx"]

    @pytest.mark.usefixtures("exported")
    def test_predict(self, run: Path, faces: Path) -> None:
        result = cmfl("predict", run / "rgb.onnx", faces / "a.png", "--provider", "cpu")
        assert result.returncode == 0
        path, p_real, p_real_rgb, p_real_spectrum, decision, *_ = result.stdout.splitlines()[1].split(",")
        assert (path, p_real_rgb, p_real_spectrum) == (f"{faces}/a.png", "", "")
        assert decision == ("real" if float(p_real) >= 0.4 else "synthetic")

    @pytest.mark.usefixtures("exported")
    def test_verify(self, run: Path, faces: Path, tmp_path: Path) -> None:
        out = tmp_path / "report.json"
        result = cmfl("verify", run / "rgb.onnx", run, faces, "--provider", "cpu", "-o", out)
        assert result.returncode == 0, result
        assert result.stderr == ""
        lines = result.stdout.splitlines()
        # One head in three batch sizes; an rgb network has no spectrum to check.
        assert [line.split()[:3] for line in lines[1:4]] == [["p_real", "PyTorch", str(n)] for n in (1, 2, 7)]
        assert lines[4] == f"could not be used: {faces}/bad.jpg: not an image of a known format"
        assert lines[5].startswith("parity holds: 3 images on cpu, max |Δp| ")
        report = json.loads(out.read_text())
        assert (report["ok"], report["images"], len(report["checks"])) == (True, 3, 3)

    @pytest.mark.usefixtures("exported")
    def test_verify_with_weights_of_another_run(self, run: Path, faces: Path, tmp_path: Path) -> None:
        torch.manual_seed(1)
        config = TrainConfig(protocol="p", architecture="one_stream", spectra="rgb", loss="bce")
        save_weights(CmflNet("one_stream", "rgb"), tmp_path / "other.safetensors", config)
        images = [faces / "a.png", faces / "b.png"]
        result = cmfl(
            "verify", run / "rgb.onnx", tmp_path / "other.safetensors", *images, "--provider", "cpu"
        )
        assert result.returncode == 1
        assert result.stdout.splitlines()[-1].startswith("PARITY DOES NOT HOLD: 2 images on cpu")
        assert "note: the model's card names other weights" in result.stdout


@pytest.fixture(scope="module")
def without_training(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the training packages are not installed."""
    folder = tmp_path_factory.mktemp("site")
    code = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING!r}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


class TestWithoutTrainingPackages:
    def test_what_production_does(
        self, tiny: Path, faces: Path, without_training: dict[str, str], tmp_path: Path
    ) -> None:
        assert cmfl("--help", **without_training).returncode == 0
        assert cmfl("show", tiny, **without_training).returncode == 0
        assert cmfl("doctor", **without_training).stderr == ""
        result = cmfl("predict", tiny, faces, "--provider", "cpu", **without_training)
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == 5

    def test_the_library(self, tiny: Path, faces: Path, without_training: dict[str, str]) -> None:
        code = (
            "import sys, cmfl_export; from cmfl_export import Detector; "
            "print(Detector(sys.argv[1], provider='cpu').predict(sys.argv[2]).p_real)"
        )
        command = [sys.executable, "-c", code, str(tiny), str(faces / "a.png")]
        result = subprocess.run(
            command, capture_output=True, text=True, env=ENVIRONMENT | without_training, check=True
        )
        assert float(result.stdout) == pytest.approx(0.2)

    @pytest.mark.parametrize(
        ("arguments", "extra"),
        [
            (["train", "-o", "run", "--protocol", "p", "--data-root", "d"], "train"),
            (["export", "best.safetensors", "-o", "m.onnx"], "train"),
            (["verify", "MODEL", "best.safetensors", "x.png"], "train"),
            (["refit", "run", "--protocol", "p", "--data-root", "d", "-o", "o.safetensors"], "train"),
            (["simulate", "photographs", "out"], "train"),
            (["demo"], "demo"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_the_rest_says_what_to_install(
        self, tiny: Path, without_training: dict[str, str], arguments: list[str], extra: str
    ) -> None:
        named = [str(tiny) if argument == "MODEL" else argument for argument in arguments]
        line = the_error(cmfl(*named, **without_training))
        assert re.search(
            rf"\(\w+\) needs packages that are not installed; run: pip install 'cmfl-export\[{extra}\]'", line
        )

    def test_production_loads_none_of_them_where_they_are_installed(self, tiny: Path, faces: Path) -> None:
        names = imported("predict", tiny, faces / "a.png", "--provider", "cpu")
        assert {"numpy", "onnxruntime", "PIL"} <= names
        assert not names & {*TRAINING, "pyarrow", "pandas", "skimage"}

    def test_of_training_the_command_line_loads_its_configuration_alone(self) -> None:
        code = "import sys, cmfl_export.cli; print(*(n for n in sys.modules if n.startswith('training')))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["training", "training.config"]
