"""The whole list, tiny and on the CPU, in a Python that lacks most of what the project can use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench.gpu_list import run as module
from cmfl_export.bench.gpu_list.driver import DONE, FAILED, SKIPPED
from cmfl_export.bench.gpu_list.page import page
from cmfl_export.bench.gpu_list.plan import FULL, TINY, Plan
from cmfl_export.bench.gpu_list.run import run
from cmfl_export.runtime import METADATA_KEY
from tests.cmfl_export import tiny_model

ROOT = Path(__file__).parents[4]
LACKING = ("jinja2", "sklearn", "scipy", "openvino", "matplotlib", "pyarrow", "skimage", "selenium", "pytest")
# Imported by every Python that has its folder on the path.
BARE = f"""
import sys
from importlib.machinery import PathFinder

class Bare:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {LACKING!r} else PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(*context):
        found = PathFinder.find_distributions(*context)
        return (one for one in found if one.metadata["Name"] not in ("cmfl-export", *{LACKING!r}))

sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three precisions of the tiny model, by name alone; PyTorch has one trunk to run for it."""
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / f"{precision}.onnx" for precision in ("fp32", "fp16", "int8")]
    for path in paths:
        model = tiny_model.build(["p_real"], burden=1)
        card = replace(
            tiny_model.card(["p_real"]), precision=path.stem, architecture="one_stream", spectra="rgb"
        )
        onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
        onnx.save(model, path)
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def folder(models: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes most of a minute."""
    bare, out = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("gpu") / "new"
    (bare / "sitecustomize.py").write_text(BARE)
    command = [sys.executable, "-m", "cmfl_export.bench.gpu_list", "--out", str(out), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(bare), str(ROOT)])}
    done = subprocess.run(
        [*command, "--models", ",".join(models)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# GPU list")
    return out


@pytest.fixture(scope="module")
def record(folder: Path) -> Any:
    return json.loads((folder / "gpu.json").read_text(encoding="utf-8"))


class TestWholeList:
    def test_every_step_that_needs_no_gpu_is_done(self, record: Any) -> None:
        found = {step["name"]: (step["status"], step["reason"]) for step in record["steps"]}
        assert found == {
            "doctor": (DONE, ""),
            "inputs": (DONE, ""),
            "export fp16": (SKIPPED, "a file was given"),
            "products": (DONE, ""),
            "rates fp16 onnxruntime": (DONE, ""),
            "training": (DONE, ""),
            "rates fp32 onnxruntime": (DONE, ""),
            "rates int8 onnxruntime": (DONE, ""),
            "rates fp16 cuda-graph": (SKIPPED, "needs a GPU"),
            "switches": (DONE, ""),
            "parity": (DONE, ""),
            "nodes": (DONE, ""),
            "PyTorch": (DONE, ""),
            "tests": (SKIPPED, "needs pytest, which is not installed"),
            "train command": (DONE, ""),
            "PyTorch compiled": (SKIPPED, "left out in a tiny run"),
            "rates fp16 tensorrt": (SKIPPED, "needs a GPU"),
        }

    def test_every_row_has_its_figures(self, record: Any) -> None:
        rows = {
            step["name"]: step["figures"]["rows"]
            for step in record["steps"]
            if step["status"] == DONE and step["figures"] and step["name"] != "parity"
        }
        assert [(name, row) for name, found in rows.items() for row in found if "error" in row] == []
        assert {name: len(found) for name, found in rows.items()} == {
            "inputs": 1,
            "products": 4,
            "rates fp16 onnxruntime": 3,
            "training": 2,
            "rates fp32 onnxruntime": 3,
            "rates int8 onnxruntime": 3,
            "switches": 3,
            "nodes": 3,
            "PyTorch": 1,
            "train command": 1,
        }
        measured = ["rates fp16 onnxruntime", "switches", "PyTorch", "products", "train command"]
        assert all(row["rate"] > 0 for name in measured for row in rows[name])
        assert {row["alone"] > 0 and row["fed"] > 0 for row in rows["training"] if "alone" in row} == {True}

    def test_the_page_is_made_of_the_json(self, folder: Path, record: Any) -> None:
        text = (folder / "gpu.md").read_text(encoding="utf-8")
        assert text == page(record)
        assert text.count("not measured: no GPU") == 5
        for title in (
            "Targets",
            "Steps",
            "Matrix products",
            "Exported models",
            "Training",
            "Nodes by provider",
        ):
            assert f"\n## {title}" in text
        assert "runs from a checkout that is not installed" in text
        assert "Without augmentation, for which SciPy is not installed." in text


class TestRun:
    @pytest.fixture
    def only_doctor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = Plan.steps
        monkeypatch.setattr(Plan, "steps", lambda self: steps(self)[:2])
        monkeypatch.setattr(module, "describe", lambda: MACHINE)

    def test_a_finished_list_is_kept(self, only_doctor: None, models: list[str], tmp_path: Path) -> None:
        first = run(tmp_path, device="cpu", models=models)
        assert [entry["status"] for entry in first] == [DONE, DONE]
        record = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
        record["steps"][0]["output"] = "kept"
        record["steps"][1]["status"] = FAILED
        (tmp_path / "gpu.json").write_text(json.dumps(record), encoding="utf-8")
        again = run(tmp_path, device="cpu", models=models, resume=True)
        assert again[0]["output"] == "kept"
        assert again[1]["status"] == DONE
        with pytest.raises(CmflError, match="measured on another machine, or with other options"):
            run(tmp_path, device="cpu", models=models, minutes=8, resume=True)
        (tmp_path / "gpu.json").write_text("{", encoding="utf-8")
        with pytest.raises(CmflError, match="is no list to go on with"):
            run(tmp_path, device="cpu", models=models, resume=True)

    def test_no_time(self, models: list[str], tmp_path: Path) -> None:
        entries = run(tmp_path, device="cpu", models=models, minutes=1e-9)
        assert {entry["status"] for entry in entries} == {SKIPPED}
        assert {entry["reason"] for entry in entries} >= {"no time left", "needs a GPU"}

    def test_refusals(self, models: list[str], tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="minutes must be more than 0"):
            run(tmp_path, models=models, minutes=0)
        with pytest.raises(CmflError, match="has no fp32 file"):
            run(tmp_path, models=models[1:])


def test_a_signal_ends_the_step_and_keeps_what_was_measured(models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "gpu"
    command = [sys.executable, "-m", "cmfl_export.bench.gpu_list", "--out", str(out), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--models", ",".join(models)], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while not said.startswith("inputs"):
            said = process.stderr.readline()
            assert said
        # The next step imports PyTorch, for seconds.
        until = time.monotonic() + 60
        while not running(out) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.5)  # until the list waits for it
        process.terminate()
        assert process.wait(30) == 143
    until = time.monotonic() + 10
    while running(out) and time.monotonic() < until:
        time.sleep(0.02)
    assert running(out) == []
    record = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
    assert [step["status"] for step in record["steps"][:3]] == [DONE, DONE, SKIPPED]


def running(folder: Path) -> list[str]:
    """The steps that run and write to a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if f"--out {folder}/steps" in text:
                found.append(text)
    return found


MACHINE = {"cpu": "a CPU", "cores": 2, "gpu": None, "system": "Linux", "versions": {}}


class TestPlan:
    MODELS = (("fp32", Path("/m/a.onnx")), ("int8", Path("/m/b.onnx")))

    def test_on_a_gpu(self, tmp_path: Path) -> None:
        steps = {step.name: step for step in Plan(self.MODELS, tmp_path, "cuda", FULL, 2).steps()}
        assert [name for name, step in steps.items() if step.left_out] == []
        for provider in ("cuda", "cuda-graph", "tensorrt"):
            assert f"rates fp16 {provider}" in steps
        assert "1,2" in steps["train command"].arguments
        assert "both,rgb" in steps["training"].arguments
        assert "eager,channels_last" in steps["PyTorch"].arguments

    def test_the_parity_of_what_is_there(self, tmp_path: Path) -> None:
        parity = next(
            step for step in Plan(self.MODELS, tmp_path, "cpu", TINY, 1).steps() if step.name == "parity"
        )
        half = str(tmp_path / "fp16.onnx")
        assert half not in parity.command
        Path(half).touch()
        assert parity.command[3:8] == ["verify", half, "/m/a.onnx", "/m/b.onnx", "--everywhere"]
