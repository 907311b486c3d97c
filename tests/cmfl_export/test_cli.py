"""The installed command, as a user runs it: output, exit codes, one line for every error, what it imports."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from cmfl_export import cli
from cmfl_export.card import METADATA_KEY, ModelCard
from cmfl_export.results import read_rows
from training.config import TrainConfig
from training.model import CmflNet
from training.weights import save_weights

from . import tiny_model

CMFL = str(Path(sys.executable).with_name("cmfl"))
COMMANDS = ("train", "export", "predict", "verify", "show", "simulate", "demo", "doctor")
TRAINING = ("torch", "torchvision", "lightning", "onnx", "onnxscript", "safetensors", "scipy", "tensorboard")
# With it, Python would not buffer standard output, as it does for users.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
# Starts a program that can be interrupted even where the tests run in the background of a shell.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def cmfl(*arguments: object, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CMFL, *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | environment,
        timeout=300,
        check=False,
    )


def the_error(result: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line that a failed command says, and all that it says."""
    assert result.returncode == code, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("cmfl: ")
    return line


def imported(*arguments: object) -> set[str]:
    """The top-level modules that a command loads."""
    result = cmfl(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", result.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See tiny_model: p_real is the mean of all pixels / 255."""
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, of which the last is bright, one in a subfolder with a space, and one that is none."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "sub folder").mkdir()
    for name, grey in (("a.png", 51), ("b.png", 102), ("sub folder/c.png", 204)):
        Image.new("RGB", (224, 224), (grey, grey, grey)).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


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


class TestHelp:
    def test_lists_the_commands(self) -> None:
        result = cmfl("--help")
        assert result.returncode == 0
        assert result.stderr == ""
        listed = result.stdout.partition("Commands:")[2]
        assert re.findall(r"^  (\w+)  +\w", listed, re.MULTILINE) == list(COMMANDS)

    def test_without_arguments(self) -> None:
        assert cmfl().stdout == cmfl("--help").stdout

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_each_command(self, command: str) -> None:
        result = cmfl(command, "--help")
        assert result.returncode == 0
        assert result.stdout.startswith(f"Usage: cmfl {command} [OPTIONS]")

    def test_loads_nothing_heavy(self) -> None:
        names = imported("--help")
        assert "cmfl_export" in names
        assert not names & {*TRAINING, "numpy", "PIL", "onnxruntime", "pyarrow", "rich"}

    def test_takes_less_than_half_a_second(self) -> None:
        """Of processor time, which a busy machine stretches less than time on the clock; best of three."""
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            cmfl("--help")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(times) < 0.5


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nope"], "No such command 'nope' (see: cmfl --help)"),
            (["--nope"], "No such option: --nope (see: cmfl --help)"),
            (["predict"], "Missing argument 'MODEL' (see: cmfl predict --help)"),
            (["predict", "m.onnx"], "Missing argument 'INPUT...' (see: cmfl predict --help)"),
            (["predict", "m.onnx", "x", "--nope"], "No such option: --nope"),
            (["predict", "m.onnx", "x", "--batch-size", "many"], "Invalid value for '--batch-size'"),
            (["predict", "absent.onnx", "x"], "absent.onnx: no such model file"),
            (["predict", ".", "x"], ". is a folder, not a model; give the .onnx file"),
            (["show", "absent.onnx"], "absent.onnx: no such model file"),
            (["verify", "absent.onnx", "w.pth", "x"], "absent.onnx: no such model file"),
            (["export", "absent.pth", "-o", "m.onnx"], "no weights at absent.pth"),
            (["export", "absent.pth", "-o", "m.onnx", "--outputs", "embedding,map"], "no output map"),
            (["train", "-o", "run"], "protocol"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_one_line_and_exit_code_two(
        self, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert message in the_error(cmfl(*arguments))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--format", "xml"], "unknown format 'xml'"),
            (["--threshold", "2"], "the threshold must be within 0 and 1"),
            (["--provider", "npu"], "unknown provider 'npu'; choose one of: auto, cpu, cuda, tensorrt"),
            (["--threads", "0"], "threads must be at least 1"),
            (["--resume"], "standard output cannot be resumed"),
            (["--format", "parquet"], "parquet cannot go to standard output"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_options_of_predict(self, model: Path, faces: Path, options: list[str], message: str) -> None:
        assert message in the_error(cmfl("predict", model, faces, *options))

    def test_a_file_that_is_no_model_leaves_the_output_alone(self, faces: Path, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_text("no model")
        (tmp_path / "rows.csv").write_text("kept")
        line = the_error(cmfl("predict", tmp_path / "m.onnx", faces, "-o", tmp_path / "rows.csv"))
        assert "m.onnx is not an ONNX file, or is damaged; export the model again" in line
        assert (tmp_path / "rows.csv").read_text() == "kept"

    def test_a_model_that_is_not_ours(self, faces: Path, tmp_path: Path) -> None:
        other = tiny_model.write(tmp_path / "other.onnx", with_card=False)
        assert "has no CMFL model card in it" in the_error(cmfl("predict", other, faces, "--provider", "cpu"))

    def test_no_inputs(self, model: Path, tmp_path: Path) -> None:
        assert "no images found in" in the_error(cmfl("predict", model, tmp_path, "--provider", "cpu"))


class TestPredict:
    def test_rows_on_standard_output_and_the_rest_on_standard_error(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces, "--provider", "cpu")
        # One input could not be scored.
        assert result.returncode == 1
        header, *rows = result.stdout.splitlines()
        assert header == "path,p_real,p_real_rgb,p_real_spectrum,decision,status,error"
        assert rows == [
            f"{faces}/a.png,0.2,0.2,0.2,synthetic,ok,",
            f"{faces}/b.png,0.4,0.4,0.4,synthetic,ok,",
            f"{faces}/bad.jpg,,,,,not_an_image,not an image of a known format",
            f"{faces}/sub folder/c.png,0.8,0.8,0.8,real,ok,",
        ]
        first, second = result.stderr.splitlines()
        assert first == "4 images: 1 real, 2 synthetic, 1 failed (1 not_an_image)"
        assert re.fullmatch(r"\d+\.\d s, \d+\.\d images/s on cpu", second)

    def test_exit_code_zero_when_every_input_has_a_score(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces / "a.png", faces / "b.png", "--provider", "cpu")
        assert result.returncode == 0

    def test_not_recursive(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces, "--no-recursive", "--provider", "cpu")
        assert "c.png" not in result.stdout

    @pytest.mark.parametrize("format", ["csv", "jsonl", "json", "parquet"])
    def test_formats(self, model: Path, faces: Path, tmp_path: Path, format: str) -> None:
        out = tmp_path / "new" / f"rows.{format}"
        result = cmfl("predict", model, faces, "-o", out, "--provider", "cpu")
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("4 images: ")
        if format == "parquet":
            import pyarrow.parquet as pq

            scores = pq.read_table(out)["p_real"].to_pylist()
        else:
            scores = [row.p_real for row in read_rows(out)]
        expected = [0.2, 0.4, None, 0.8]
        assert [score and float(np.float32(score)) for score in scores] == [
            score and float(np.float32(score)) for score in expected
        ]

    def test_format_on_standard_output(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces / "a.png", "--format", "json", "--provider", "cpu")
        (row,) = json.loads(result.stdout)
        assert (row["p_real"], row["decision"]) == (0.2, "synthetic")

    def test_threshold(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces, "--threshold", "0.3", "--provider", "cpu")
        decisions = Counter(line.split(",")[4] for line in result.stdout.splitlines()[1:])
        assert decisions == {"synthetic": 1, "real": 2, "": 1}

    def test_paths_from_standard_input(self, model: Path, faces: Path) -> None:
        text = f"{faces}/sub folder/c.png\n{faces}/absent.png\n{faces}/a.png\n"
        result = cmfl("predict", model, "-", "--provider", "cpu", text=text)
        assert result.returncode == 1
        statuses = [line.split(",")[-2] for line in result.stdout.splitlines()[1:]]
        assert statuses == ["ok", "not_found", "ok"]

    def test_paths_with_newlines_from_standard_input(self, model: Path, tmp_path: Path) -> None:
        name = tmp_path / "two\nlines.png"
        Image.new("RGB", (224, 224), "white").save(name)
        out = tmp_path / "rows.csv"
        result = cmfl(
            "predict", model, "-", "--null", "-o", out, "--provider", "cpu", text=f"{name}\0{name}\0"
        )
        assert result.returncode == 0
        assert [(row.path, row.p_real) for row in read_rows(out)] == [(str(name), 1.0)] * 2

    def test_resume(self, model: Path, faces: Path, tmp_path: Path) -> None:
        out = tmp_path / "rows.csv"
        cmfl("predict", model, faces / "a.png", faces / "b.png", "-o", out, "--provider", "cpu")
        whole = out.read_bytes()
        out.write_bytes(whole[:-3])
        result = cmfl("predict", model, faces, "-o", out, "--resume", "--provider", "cpu")
        assert "1 skipped: they have their row already" in result.stderr
        assert out.read_bytes().startswith(whole)
        assert [Path(row.path).name for row in read_rows(out)] == ["a.png", "b.png", "bad.jpg", "c.png"]

    def test_a_provider_that_does_not_load(self, model: Path, faces: Path, tmp_path: Path) -> None:
        # Hides the GPU of a machine that has one.
        result = cmfl("predict", model, faces, "--provider", "cuda", CUDA_VISIBLE_DEVICES="-1")
        assert re.fullmatch(r"cmfl: cuda does not load: .{10,}; to fix it: .{10,}", the_error(result))

    def test_auto_then_says_where_it_runs(self, model: Path, faces: Path) -> None:
        result = cmfl("predict", model, faces / "a.png", CUDA_VISIBLE_DEVICES="-1")
        assert result.returncode == 0
        assert "images/s on cpu" in result.stderr

    def test_into_head(self, model: Path, faces: Path) -> None:
        many = [str(faces / "a.png")] * 2000
        pipe = 'set -o pipefail; "$@" | head -1'
        command = ["bash", "-c", pipe, "bash", CMFL, "predict", str(model), *many, "--provider", "cpu"]
        result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert result.returncode == 0
        assert result.stdout.startswith("path,")
        # The summary says how far it came; nothing says "Broken pipe".
        assert re.match(r"\d+ images: 0 real, \d+ synthetic, 0 failed\n", result.stderr)
        assert len(result.stderr.splitlines()) == 2
        assert int(result.stderr.split()[0]) < 2000

    def test_interrupt(self, faces: Path, tmp_path: Path) -> None:
        slow = tiny_model.write(tmp_path / "slow.onnx", burden=8)
        many = [str(faces / "a.png")] * 4000
        command = [CMFL, "predict", str(slow), *many, "--provider", "cpu", "--batch-size", "1"]
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        rows = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said == "cmfl: interrupted\n"
        rows += rest.splitlines(keepends=True)
        assert len(rows) < 4000
        # What is there is whole.
        assert set(rows[1:]) == {f"{faces}/a.png,0.2,0.2,0.2,synthetic,ok,\n"}


class TestShow:
    def test_lines_and_json(self, model: Path) -> None:
        items = dict(line.split(maxsplit=1) for line in cmfl("show", model).stdout.splitlines())
        assert items["name"] == "tiny"
        assert items["outputs"] == "p_real, p_real_rgb, p_real_spectrum"
        result = cmfl("show", model, "--json")
        assert result.returncode == 0
        assert ModelCard.from_json(result.stdout) == tiny_model.card()

    def test_a_terminal_without_the_letters(self, tmp_path: Path) -> None:
        proto = tiny_model.build()
        text = replace(tiny_model.card(), name="|Δp| → 0").to_json()
        onnx.helper.set_model_props(proto, {METADATA_KEY: text})
        onnx.save(proto, tmp_path / "m.onnx")
        result = cmfl("show", tmp_path / "m.onnx", PYTHONIOENCODING="latin-1")
        assert result.returncode == 0
        assert r"|\u0394p| \u2192 0" in result.stdout


class TestDoctor:
    def test_exit_code_follows_the_verdict(self) -> None:
        result = cmfl("doctor")
        verdict = result.stdout.splitlines()[-1]
        problems = re.match(r"(\d+) problems?; ", verdict)
        assert problems
        assert result.returncode == (int(problems[1]) > 0)
        assert result.stderr == ""

    def test_a_gpu_that_cannot_be_used_is_a_problem(self, tmp_path: Path) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text("#!/bin/sh\necho 'Some GPU, 580.1'\n")
        tool.chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        result = cmfl("doctor", PATH=path, CUDA_VISIBLE_DEVICES="-1")
        assert result.returncode == 1
        assert "Some GPU, 580.1" in result.stdout
        assert re.search(r"^! provider cuda .*does not load: ", result.stdout, re.MULTILINE)


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
            rf"{run}/rgb\.onnx: one_stream rgb, outputs p_real, embedding, heatmap_rgb; "
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

    @pytest.mark.usefixtures("exported")
    def test_verify_where_nothing_can_be_decoded(self, run: Path, faces: Path) -> None:
        result = cmfl("verify", run / "rgb.onnx", run, faces / "bad.jpg", "--provider", "cpu")
        assert "no image to verify on" in the_error(result)


class TestWithoutTrainingPackages:
    def test_what_production_does(
        self, model: Path, faces: Path, without_training: dict[str, str], tmp_path: Path
    ) -> None:
        assert cmfl("--help", **without_training).returncode == 0
        assert cmfl("show", model, **without_training).returncode == 0
        assert cmfl("doctor", **without_training).stderr == ""
        result = cmfl("predict", model, faces, "--provider", "cpu", **without_training)
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == 5

    def test_the_library(self, model: Path, faces: Path, without_training: dict[str, str]) -> None:
        code = (
            "import sys, cmfl_export; from cmfl_export import Detector; "
            "print(Detector(sys.argv[1], provider='cpu').predict(sys.argv[2]).p_real)"
        )
        command = [sys.executable, "-c", code, str(model), str(faces / "a.png")]
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
        self, model: Path, without_training: dict[str, str], arguments: list[str], extra: str
    ) -> None:
        named = [str(model) if argument == "MODEL" else argument for argument in arguments]
        line = the_error(cmfl(*named, **without_training))
        assert re.search(
            rf"\(\w+\) needs packages that are not installed; run: pip install 'cmfl-export\[{extra}\]'", line
        )

    def test_production_loads_none_of_them_where_they_are_installed(self, model: Path, faces: Path) -> None:
        names = imported("predict", model, faces / "a.png", "--provider", "cpu")
        assert {"numpy", "onnxruntime", "PIL"} <= names
        assert not names & {*TRAINING, "pyarrow", "pandas", "skimage", "training"}


class TestMain:
    """What no sound command line can provoke."""

    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("two\nlines")

        monkeypatch.setattr(cli, "app", fail)
        monkeypatch.delenv("CMFL_TRACEBACK", raising=False)
        return monkeypatch

    def test_an_internal_error_is_one_line(
        self, broken: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as info:
            cli.main()
        assert info.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("cmfl: internal error, please report it: RuntimeError('two\\nlines')")
        assert "CMFL_TRACEBACK=1" in line

    def test_a_traceback_on_request(self, broken: pytest.MonkeyPatch) -> None:
        broken.setenv("CMFL_TRACEBACK", "1")
        with pytest.raises(RuntimeError, match="two"):
            cli.main()
