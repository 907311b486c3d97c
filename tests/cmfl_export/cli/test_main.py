"""The command line: help, errors in one line, exit codes, and the small commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

import cmfl_export
from cmfl_export import cli
from cmfl_export.base import interrupts
from cmfl_export.runtime.card import METADATA_KEY, ModelCard
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import TRAINING, cmfl, imported, the_error

COMMANDS = (
    *("train", "refit", "export", "predict", "align", "explain", "inspect", "recheck", "serve", "web"),
    *(
        "plan",
        "gather",
        "evaluate",
        "calibrate",
        "verify",
        "bench",
        "show",
        "simulate",
        "demo",
        "doctor",
        "protocol",
        "zoo",
    ),
)
HEAVY = {*TRAINING, "numpy", "PIL", "onnxruntime", "pyarrow", "rich", "starlette", "uvicorn"}


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
        assert result.stdout.startswith(f"Usage: cmfl {command} ")

    def test_loads_nothing_heavy(self) -> None:
        names = imported("--help")
        assert "cmfl_export" in names
        assert not names & HEAVY

    def test_of_no_command_loads_anything_heavy(self) -> None:
        code = """
import sys
from cmfl_export import cli
for command in sys.argv[1:]:
    cli.app([command, "--help"], standalone_mode=False)
print(*sys.modules, file=sys.stderr)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, check=True
        )
        assert done.stdout.count("Usage: ") == len(COMMANDS)
        names = set(done.stderr.split())
        assert {"cmfl_export", "training.config"} <= names
        assert not names & HEAVY

    @pytest.mark.parametrize("group", [[], ["protocol"], ["zoo"]])
    def test_every_summary_fits_its_line(self, group: list[str]) -> None:
        lines = cmfl(*group, "--help").stdout.split("Commands:")[1].splitlines()
        assert len(lines) > 2
        assert not [line for line in lines if line.endswith("...")]
        assert max(map(len, lines)) <= 80

    def test_arguments_and_headings(self) -> None:
        assert "\nArguments:\n  MODEL" in cmfl("show", "--help").stdout
        headings = re.findall(r"^(\w+):$", cmfl("train", "--help").stdout, re.MULTILINE)
        assert headings == ["Options", "Data", "Network", "Loss", "Optimisation", "Hardware", "Output"]

    def test_version(self) -> None:
        done = cmfl("--version")
        assert (done.returncode, done.stdout, done.stderr) == (
            0,
            f"cmfl-export {cmfl_export.__version__}\n",
            "",
        )


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nope"], "No such command 'nope' (see: cmfl --help)"),
            (["--nope"], "No such option: --nope (see: cmfl --help)"),
            (["predict"], "Missing argument '[MODEL] INPUT...' (see: cmfl predict --help)"),
            (["predict", "m.onnx"], "m.onnx is the model; give images to score after it"),
            (["predict", "absent"], "absent: neither an image, nor a folder, nor a model of the zoo"),
            (["predict", "m.onnx", "x", "--nope"], "No such option: --nope"),
            (["predict", "m.onnx", "x", "--batch-size", "many"], "Invalid value for '--batch-size'"),
            (["predict", "absent.onnx", "x"], "absent.onnx: no such model file"),
            (["show", "."], ". is a folder, not a model; give the .onnx file"),
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
            (["--format", "xml"], "'xml' is not one of 'csv', 'jsonl'"),
            (["--threshold", "2"], "the threshold must be within 0 and 1"),
            (
                ["--provider", "npu"],
                "'npu' is not one of 'auto', 'cpu', 'onnxruntime', 'openvino', 'cuda', 'cuda-graph'",
            ),
            (["--threads", "0"], "threads must be at least 1"),
            (["--resume"], "standard output cannot be resumed"),
            (["--format", "parquet"], "parquet cannot go to standard output"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_options_of_predict(self, tiny: Path, faces: Path, options: list[str], message: str) -> None:
        assert message in the_error(cmfl("predict", tiny, faces, *options))

    def test_a_file_that_is_no_model_leaves_the_output_alone(self, faces: Path, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_text("no model")
        (tmp_path / "rows.csv").write_text("kept")
        line = the_error(cmfl("predict", tmp_path / "m.onnx", faces, "-o", tmp_path / "rows.csv"))
        assert "m.onnx is not an ONNX file, or is damaged: it is of another kind, or ends too early" in line
        assert (tmp_path / "rows.csv").read_text() == "kept"

    def test_a_model_that_is_not_ours(self, faces: Path, tmp_path: Path) -> None:
        other = tiny_model.write(tmp_path / "other.onnx", with_card=False)
        assert "has no CMFL model card in it" in the_error(cmfl("predict", other, faces, "--provider", "cpu"))

    def test_no_inputs(self, tiny: Path, tmp_path: Path) -> None:
        assert "no images found in" in the_error(cmfl("predict", tiny, tmp_path, "--provider", "cpu"))


class TestShow:
    def test_lines_and_json(self, tiny: Path) -> None:
        items = dict(line.split(maxsplit=1) for line in cmfl("show", tiny).stdout.splitlines())
        assert items["name"] == "tiny"
        assert items["outputs"] == "p_real, p_real_rgb, p_real_spectrum"
        result = cmfl("show", tiny, "--json")
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


class TestMain:
    """What no sound command line can provoke."""

    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("two\nlines")

        monkeypatch.setattr(cli, "app", fail)
        monkeypatch.setattr(interrupts, "install", lambda: None)
        monkeypatch.delenv("CMFL_TRACEBACK", raising=False)
        return monkeypatch

    def test_an_internal_error_is_one_line(
        self, broken: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as info:
            cli.main()
        assert info.value.code == 70
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("cmfl: internal error, please report it: RuntimeError('two\\nlines')")
        assert "CMFL_TRACEBACK=1" in line

    def test_a_traceback_on_request(self, broken: pytest.MonkeyPatch) -> None:
        broken.setenv("CMFL_TRACEBACK", "1")
        with pytest.raises(RuntimeError, match="two"):
            cli.main()
