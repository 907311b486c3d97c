"""The commands evaluate, calibrate, explain, protocol build and protocol check, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cmfl_export import graded
from tests.cmfl_export.command import TRAINING, cmfl, imported, the_error
from tests.conftest import picture


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dev split, and an eval split of other subjects over the same images."""
    root = tmp_path_factory.mktemp("data")
    graded.make(root / "dev", split="dev")
    graded.make(root / "eval", split="eval", prefix="other-")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty real images and thirty others, alike in all that a file says of itself."""
    data = tmp_path_factory.mktemp("faces")
    for seed, folder in enumerate(("real", "gan")):
        (data / folder).mkdir()
        for number in range(30):
            Image.fromarray(picture(1000 * seed + number)).save(data / folder / f"{number}.png")
    return data


def split(root: Path, name: str) -> list[str]:
    return ["--protocol", str(root / name / "protocol"), "--data-root", str(root / name)]


class TestEvaluate:
    def test_from_calibration_to_report(self, tiny: Path, root: Path, tmp_path: Path) -> None:
        model = tmp_path / "calibrated.onnx"
        result = cmfl("calibrate", tiny, *split(root, "dev"), "--at", "bpcer:0", "-o", model)
        assert (result.returncode, result.stderr) == (0, "")
        assert "BPCER 20.0 -> 0.0 %" in result.stdout
        assert result.stdout.endswith(f"{model}: evaluate it on images of other subjects\n")
        assert "bpcer:0 on protocol/dev" in cmfl("show", model).stdout

        out = tmp_path / "out"
        result = cmfl(
            *("evaluate", model, *split(root, "eval"), "-o", out, "--degrade", "jpeg:50", "--samples", 20)
        )
        assert (result.returncode, result.stderr) == (0, "")
        for words in ("BPCER at the threshold", "jpeg 50", "attack type", f"report: {out / 'report.html'}"):
            assert words in result.stdout
        data = json.loads((out / "metrics.json").read_text())
        assert data["models"][0]["heads"]["p_real"]["bpcer"]["value"] == 0
        assert "--degrade jpeg:50" in data["settings"]["command"]
        assert "calibrated.onnx" in (out / "report.html").read_text()

        again = cmfl("evaluate", model, *split(root, "dev"), "--split", "dev", "-o", tmp_path / "no")
        assert "evaluate on other subjects, or give --threshold" in the_error(again)
        assert not (tmp_path / "no").exists()

    def test_images_without_a_score_give_exit_code_1(self, tiny: Path, tmp_path: Path) -> None:
        graded.make(tmp_path / "eval")
        (tmp_path / "eval/gan_x/10.png").unlink()
        arguments = ["evaluate", tiny, *split(tmp_path, "eval"), "-o", tmp_path / "out", "--samples", 20]
        result = cmfl(*arguments)
        assert result.returncode == 1
        assert "gan_x/10.png: not_found, no such file" in result.stdout

    def test_errors_are_one_line(self, tiny: Path, root: Path, tmp_path: Path) -> None:
        assert "nothing to evaluate" in the_error(cmfl("evaluate", "-o", tmp_path))
        result = cmfl("evaluate", tiny, *split(root, "eval"), "-o", tmp_path, "--degrade", "sepia:1")
        assert "unknown degradation 'sepia'" in the_error(result)
        result = cmfl("calibrate", tiny, *split(root, "dev"), "--at", "best", "-o", tmp_path / "x.onnx")
        assert "use d-eer, apcer:X, bpcer:X or band:apcer=X,bpcer=Y" in the_error(result)

    def test_needs_no_torch(self, tiny: Path, root: Path, tmp_path: Path) -> None:
        names = imported("evaluate", tiny, *split(root, "eval"), "-o", tmp_path / "out", "--samples", 20)
        assert not names & {*TRAINING, "sklearn"}


class TestExplain:
    def test_draws_one_figure(self, model_file: Path, photographs: list[Path], tmp_path: Path) -> None:
        result = cmfl("explain", model_file, photographs[0], "-o", tmp_path / "why.png")
        assert (result.returncode, result.stderr) == (0, "")
        assert "p_real_spectrum" in result.stdout
        with Image.open(tmp_path / "why.png") as figure:
            assert np.asarray(figure.convert("L")).std() > 20

    def test_a_model_without_heatmaps(self, tiny: Path, photographs: list[Path], tmp_path: Path) -> None:
        line = the_error(cmfl("explain", tiny, photographs[0], "-o", tmp_path / "why.png"))
        assert "--outputs heatmap,spectrum" in line


class TestPredictReport:
    def test_beside_the_rows(self, tiny: Path, faces: Path, tmp_path: Path) -> None:
        result = cmfl("predict", tiny, faces, "-o", tmp_path / "r.csv", "--report", tmp_path / "r.html")
        assert result.returncode == 1
        assert (tmp_path / "r.csv").read_text().count("\n") == 5
        assert "bad.jpg" in (tmp_path / "r.html").read_text()


class TestProtocol:
    def test_build_and_check(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "protocol"
        arguments = ["--data-root", data, "--real", "real", "--attack", "gan=gan", "-o", out]
        result = cmfl("protocol", "build", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert "wrote train.csv, dev.csv, eval.csv" in result.stdout

        result = cmfl("protocol", "check", out, "--data-root", data, "-o", tmp_path / "check.json")
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
        assert json.loads((tmp_path / "check.json").read_text())["ok"] is True

        (data / "gan/copy.png").write_bytes((data / "real/1.png").read_bytes())
        leaky = out / "train.csv"
        leaky.write_text(leaky.read_text() + "copy,gan/copy.png,gan\n")
        result = cmfl("protocol", "check", out, "--data-root", data)
        assert result.returncode == 1
        assert "gan/copy.png" in result.stdout

    def test_a_definition_says_what_is_missing(self, data: Path, tmp_path: Path) -> None:
        arguments = ["--definition", "swagan", "--data-root", data, "-o", tmp_path / "swagan"]
        result = cmfl("protocol", "build", *arguments)
        assert result.returncode == 1
        assert "ffhq-alligned" in result.stdout or "ffhq-aligned" in result.stdout
        assert not (tmp_path / "swagan").exists()

    def test_usage(self, data: Path, tmp_path: Path) -> None:
        build = ["protocol", "build", "--data-root", data, "-o", tmp_path / "p"]
        assert "NAME=DIR" in the_error(cmfl(*build, "--real", "real", "--attack", "gan"))
        assert "either --definition or" in the_error(cmfl(*build, "--definition", "swagan", "--real", "real"))
        assert "--shares takes three numbers" in the_error(cmfl(*build, "--real", "real", "--shares", "half"))
