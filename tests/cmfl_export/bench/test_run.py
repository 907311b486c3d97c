"""A whole run on the tiny model, and what is refused before one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import contenders, run, table, training_contenders
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import cmfl, imported, the_error


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """The tiny model with arithmetic to count: two products of 224 x 224 planes, three channels."""
    return tiny_model.write(tmp_path / "slow.onnx", burden=2)


class TestRun:
    def test_every_figure(
        self, slow: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(contenders, "_CPU_SIZE", 64)
        out, picture = tmp_path / "new" / "bench.json", tmp_path / "bench.svg"
        report = run.bench(
            [str(slow)],
            out,
            picture=picture,
            images=faces,
            batch_sizes=[1, 3],
            seconds=0.02,
            rounds=2,
            threads=1,
            providers=["onnxruntime"],
            peers=False,
        )
        assert report.ok
        record = json.loads(out.read_text())
        (model,) = record["contenders"]
        assert {name: len(found["rounds"]) for name, found in model["measures"].items()} == {
            "batch 1": 2,
            "batch 3": 2,
            "folder": 2,
            "start-up": 2,
        }
        assert record["operations_per_image"] == 2 * 2 * 3 * 224**3
        assert {limit["precision"] for limit in record["limits"]} == {"fp32", "int8"}
        best = max(model["measures"][name]["median"] for name in ("batch 1", "batch 3"))
        limit = next(limit["rate"] for limit in record["limits"] if limit["precision"] == "fp32")
        assert model["share_of_limit"] == pytest.approx(best * record["operations_per_image"] / limit)
        assert record["settings"]["images"] == f"4 images of {faces}"
        assert picture.stat().st_size > 1000
        assert any(line.startswith("| ONNX Runtime fp32 ") for line in table.lines(report))

    def test_a_backend_that_breaks_is_a_line(self, slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders, "_CPU_SIZE", 64)
        monkeypatch.setattr(contenders, "choose_backends", lambda _wanted: ["onnxruntime", "tensorrt"])
        report = run.bench([str(slow)], batch_sizes=[1], seconds=0.01, rounds=1, peers=False, compared=4)
        sound, broken = report.results
        assert sound.rate("folder")
        assert not report.ok
        assert broken.failures["load"].startswith("tensorrt does not load: ")
        assert any(line.startswith("TensorRT fp32: does not load: ") for line in table.lines(report))

    def test_without_torch_it_says_so(self, slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders, "torch_devices", lambda _backends: [])
        monkeypatch.setattr(run, "measure", lambda *_, **__: [])
        report = run.bench([str(slow)])
        assert report.notes == [
            "PyTorch is not installed, so it was left out: pip install 'cmfl-export[train]'"
        ]


class TestTraining:
    def test_every_figure(
        self, tiny_data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(contenders, "_CPU_SIZE", 64)
        monkeypatch.setattr(training_contenders, "cpu_has_bf16", lambda: False)
        protocol, root = tiny_data
        options = {"protocol": str(protocol), "data_root": str(root), "batch_size": 1, "workers": 0}
        out = tmp_path / "bench.json"
        report = run.bench_training(out, overrides=options, seconds=0.01, rounds=2)
        assert report.ok
        record = json.loads(out.read_text())
        assert {one["name"]: list(one["measures"]) for one in record["contenders"]} == {
            "training fp32": ["step", "fed"],
            "plain eager fp32": ["step"],
            "loader alone": ["loader"],
        }
        for one in record["contenders"]:
            assert all(len(figures["rounds"]) == 2 for figures in one["measures"].values())
        assert record["operations_per_image"] > 1e10
        assert record["settings"]["images"] == f"12 images of {protocol}"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"models": []}, "no model given"),
            ({"batch_sizes": []}, "batch sizes are whole numbers of at least 1"),
            ({"batch_sizes": [0]}, "batch sizes are whole numbers of at least 1"),
            ({"seconds": 0.0}, "seconds must be more than 0"),
            ({"rounds": 0}, "rounds must be at least 1"),
            ({"threads": 0}, "threads must be at least 1"),
            ({"compared": 0}, "the number of compared images must be at least 1"),
            ({"picture": Path("bench.txt")}, "must be one of .png, .svg, .pdf"),
            ({"providers": ["npu"]}, "unknown backend 'npu'"),
            ({"models": ["absent.onnx"]}, "absent.onnx: no such model file"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_before_anything_is_measured(
        self, options: dict[str, Any], message: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "measure", lambda *_, **__: pytest.fail("measured"))
        with pytest.raises(CmflError) as info:
            run.bench(**({"models": [str(tiny)]} | options))
        assert message in str(info.value)

    def test_an_output_that_is_a_folder(
        self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "measure", lambda *_, **__: pytest.fail("measured"))
        with pytest.raises(CmflError, match="is a folder; give the name of a file"):
            run.bench([str(tiny)], tmp_path)


class TestCommand:
    def test_a_table(self, tiny: Path, faces: Path, tmp_path: Path) -> None:
        options = (
            "--seconds",
            "0.01",
            "--rounds",
            "1",
            "--batch-sizes",
            "1",
            "--no-peers",
            "--providers",
            "onnxruntime",
        )
        result = cmfl("bench", tiny, "--images", faces, *options, "-o", tmp_path / "b.json")
        assert result.returncode == 0
        assert "| ONNX Runtime fp32 |" in result.stdout
        assert "round 1 of 1" in result.stderr
        assert json.loads((tmp_path / "b.json").read_text())["settings"]["rounds"] == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "no model given"),
            (["m.onnx", "--batch-sizes", "1,many"], "batch sizes are numbers separated by commas"),
            (["m.onnx", "--workers", "2"], "go with --train"),
            (["m.onnx", "--train"], "give one of both"),
            (["--train", "--protocol", "absent", "--data-root", "."], "absent"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_usage(self, arguments: list[str], message: str) -> None:
        assert message in the_error(cmfl("bench", *arguments))

    def test_the_help_loads_nothing_heavy(self) -> None:
        assert not imported("bench", "--help") & {"numpy", "onnxruntime", "torch", "matplotlib"}
