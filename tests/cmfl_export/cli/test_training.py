"""cmfl export and cmfl verify as a user runs them, and what works without the training packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cmfl_export.command import ENVIRONMENT, TRAINING, cmfl, imported, the_error
from training.config import TrainConfig
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
        assert not names & {*TRAINING, "pyarrow", "pandas", "skimage", "training"}
