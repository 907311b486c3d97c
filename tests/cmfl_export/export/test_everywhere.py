"""cmfl verify --everywhere: one row per file and runtime, against float64 or the fp32 file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from cmfl_export.base.errors import CmflError, ProviderError
from cmfl_export.export import everywhere, runtimes
from cmfl_export.export.everywhere import sort_arguments, verify_everywhere
from cmfl_export.export.matrix import Matrix
from cmfl_export.export.runtimes import Runtime
from cmfl_export.images import decode
from cmfl_export.runtime import Session
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import cmfl, the_error
from training.config import Spectra, TrainConfig
from training.deploy import DeployNet, Float64Network
from training.model import CmflNet
from training.weights import Weights, load_weights, save_weights


@pytest.fixture(autouse=True)
def without_web(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-web has tests of its own."""
    monkeypatch.setenv("CMFL_ONNXRUNTIME_WEB", "/nowhere")


@pytest.fixture(scope="module")
def matrix(model_file: Path, weights_file: Path, photographs: list[Path]) -> Matrix:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMFL_ONNXRUNTIME_WEB", "/nowhere")
        images = [str(path) for path in photographs[:3]]
        return verify_everywhere([model_file], [*images, "absent.png"], weights=weights_file)


class TestAgainstFloat64:
    def test_every_runtime_has_a_row(self, matrix: Matrix) -> None:
        assert [row.runtime for row in matrix.rows] == [
            "ONNX Runtime, unoptimised",
            "ONNX Runtime",
            "OpenVINO",
            "OpenVINO, batches at once",
        ]
        assert {"onnxruntime-web", "CUDA", "TensorRT"} <= matrix.missing.keys() | {"CUDA", "TensorRT"}
        assert matrix.ok

    def test_figures(self, matrix: Matrix) -> None:
        for row in matrix.rows:
            assert row.max is not None
            assert row.mean is not None
            assert row.p999 is not None
            assert 0 < row.mean < row.p999 <= row.max < 1e-4
            assert row.flips == 0
            assert row.heads is not None
            assert max(row.heads.values()) == row.max
            assert list(row.heads) == ["p_real", "p_real_rgb", "p_real_spectrum"]
        assert matrix.rows[0].own_max is None
        assert all(row.own_max is not None and row.own_max < 1e-4 for row in matrix.rows[1:])

    def test_what_could_not_be_used_is_named_once(self, matrix: Matrix) -> None:
        assert matrix.images == 3
        assert list(matrix.failed) == ["absent.png"]
        assert sum("absent.png" in line for line in matrix.lines()) == 1

    def test_text_and_json(self, matrix: Matrix, model_file: Path) -> None:
        lines = matrix.lines()
        assert lines[1] == "against PyTorch in float64, best.safetensors"
        assert lines[-1].startswith("parity holds in 4 combinations on 3 images, max |Δp| ")
        data = json.loads(matrix.to_json())
        assert data["ok"] is True
        assert data["models"]["fp32"]["file"] == model_file.name
        assert data["machine"]["instruction_sets"] == matrix.machine["instruction_sets"]
        assert [row["max"] for row in data["rows"]] == [row.max for row in matrix.rows]


class TestAgainstTheFp32File:
    @pytest.fixture
    def variants(self, tmp_path: Path) -> list[str]:
        names = ("fp32", "int8")
        return [str(tiny_model.variant(tmp_path / f"{name}.onnx", name)) for name in names]

    def test_all_variants(self, variants: list[str], photographs: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "matrix.json"
        found = verify_everywhere(variants, [str(photographs[0])], out=out)
        assert found.reference == "fp32.onnx in ONNX Runtime, unoptimised"
        assert [row.precision for row in found.rows] == ["fp32"] * 4 + ["int8"] * 5
        assert [row.runtime for row in found.rows if row.precision == "int8"][2] == "ONNX Runtime, exact"
        assert found.rows[0].max == 0
        assert out.read_text() == found.to_json()

    def test_without_fp32(self, variants: list[str], photographs: list[Path]) -> None:
        with pytest.raises(CmflError, match=r"int8\.onnx is int8; give its fp32 file as well"):
            verify_everywhere(variants[1:], [str(photographs[0])])

    def test_without_images(self, variants: list[str], tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="no image to verify on"):
            verify_everywhere(variants, [str(tmp_path / "none.png")])

    def test_a_wrong_variant_fails(self, variants: list[str], photographs: list[Path]) -> None:
        proto = onnx.load(variants[1])
        whole = next(tensor for tensor in proto.graph.initializer if tensor.name == "whole")
        whole.CopyFrom(onnx.numpy_helper.from_array(np.array(200.0 * 224 * 224, np.float32), "whole"))
        onnx.save(proto, variants[1])
        found = verify_everywhere(variants, [str(path) for path in photographs])
        assert not found.ok
        assert [row.ok for row in found.rows] == [True] * 4 + [False] * 5
        assert all(row.own_max is None or row.own_max < 1e-6 for row in found.rows)
        assert found.lines()[-1].startswith("PARITY DOES NOT HOLD")

    def test_a_runtime_that_fails_is_a_row(
        self, variants: list[str], photographs: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_path: Path, _threads: int | None) -> Session:
            raise ProviderError("the run failed on cuda")

        found, missing = runtimes.runtimes()
        both = [Runtime("CUDA", broken), found[0]]
        monkeypatch.setattr(everywhere, "runtimes", lambda: (both, missing))
        matrix = verify_everywhere(variants[:1], [str(photographs[0])])
        assert [row.ok for row in matrix.rows] == [False, True]
        assert not matrix.ok
        assert "CUDA fp32: the run failed on cuda" in matrix.lines()
        assert json.loads(matrix.to_json())["rows"][0]["max"] is None


class TestCommand:
    def test_arguments(self, weights_file: Path, tmp_path: Path) -> None:
        folder = str(weights_file.parent)
        assert sort_arguments(["m.onnx", "a.png"]) == (["m.onnx"], None, ["a.png"])
        assert sort_arguments(["m.onnx", "n.onnx", folder, "b"]) == (["m.onnx", "n.onnx"], folder, ["b"])
        assert sort_arguments(["m.onnx", "w.pth", str(tmp_path)]) == (["m.onnx"], "w.pth", [str(tmp_path)])

    def test_a_table(self, tmp_path: Path, photographs: list[Path]) -> None:
        model = str(tiny_model.variant(tmp_path / "fp32.onnx", "fp32"))
        result = cmfl("verify", model, "--everywhere", photographs[0], CMFL_ONNXRUNTIME_WEB="/nowhere")
        assert result.returncode == 0
        assert "parity holds in 4 combinations on 1 image" in result.stdout

    def test_without_weights_it_must_be_everywhere(self, tmp_path: Path) -> None:
        model = str(tiny_model.variant(tmp_path / "fp32.onnx", "fp32"))
        assert "without weights, take --everywhere" in the_error(cmfl("verify", model, "a.png"))
        both = cmfl("verify", model, "a", "--everywhere", "--provider", "cpu")
        assert "takes every provider" in the_error(both)


def test_float64_is_the_network(loaded: Weights, photographs: list[Path]) -> None:
    images = np.stack([decode(path) for path in photographs[:3]])
    before = {name: value.clone() for name, value in loaded.net.state_dict().items()}
    exact = Float64Network(loaded.net).scores(images)
    with torch.no_grad():
        single = DeployNet(loaded.net).named(torch.from_numpy(images))
    assert list(exact) == ["p_real", "p_real_rgb", "p_real_spectrum"]
    for name, values in exact.items():
        assert values.dtype == np.float64
        assert np.abs(values - single[name].numpy()).max() < 1e-4
        assert not np.array_equal(values, single[name].numpy())
    assert all(torch.equal(value, before[name]) for name, value in loaded.net.state_dict().items())


@pytest.mark.usefixtures("small_trunk")
@pytest.mark.parametrize("spectra", ["rgb", "fft"])
def test_one_stream_in_float64(spectra: Spectra, tmp_path: Path, photographs: list[Path]) -> None:
    torch.manual_seed(0)
    net = CmflNet("one_stream", spectra)
    network = {"architecture": "one_stream", "spectra": spectra, "loss": "bce"}
    config = TrainConfig.from_dict({"protocol": "p", "data_root": "."} | network)
    save_weights(net, tmp_path / "w.safetensors", config)
    loaded = load_weights(tmp_path / "w.safetensors")
    images = np.stack([decode(path) for path in photographs[:2]])
    assert list(Float64Network(loaded.net).scores(images)) == ["p_real"]
