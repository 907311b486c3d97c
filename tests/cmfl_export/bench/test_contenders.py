"""Who is measured: models, their backends, PyTorch and the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import contenders
from cmfl_export.runtime import providers
from cmfl_export.zoo import find_variants
from tests.cmfl_export import tiny_model
from training import fit


@pytest.fixture
def variants(tmp_path: Path) -> list[Path]:
    """int8 and fp32 of one network."""
    return [tiny_model.variant(tmp_path / f"{precision}.onnx", precision) for precision in ("int8", "fp32")]


def names(found: list[contenders.Contender]) -> list[str]:
    return [contender.name for contender in found]


class TestModels:
    def test_each_model_on_each_backend(self, variants: list[Path]) -> None:
        models = find_variants([str(path) for path in variants])
        found = contenders.of_models(models, ["onnxruntime", "cuda"], [1, 8])
        assert names(found) == ["ONNX Runtime fp32", "CUDA fp32", "ONNX Runtime int8", "CUDA int8"]
        assert found[0].measures == ("batch 1", "batch 8", "folder", "start-up")
        assert found[1].options == {"model": str(variants[1]), "provider": "cuda"}
        assert [contender.on_gpu for contender in found] == [False, True, False, True]


class TestBackends:
    @pytest.fixture
    def all_load(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        monkeypatch.setattr(providers, "trouble", lambda _name: None)
        monkeypatch.setattr(providers, "has_openvino", lambda: True)
        return monkeypatch

    def test_those_that_load(self, all_load: pytest.MonkeyPatch) -> None:
        assert contenders.choose_backends(None) == ["onnxruntime", "openvino", "cuda", "cuda-graph"]
        assert contenders.choose_backends(["tensorrt"]) == ["tensorrt"]

    def test_one_that_is_asked_for_and_does_not_load(self, all_load: pytest.MonkeyPatch) -> None:
        all_load.setattr(providers, "trouble", lambda _name: providers.Trouble("no library", "install it"))
        all_load.setattr(providers, "has_openvino", lambda: False)
        assert contenders.choose_backends(None) == ["onnxruntime"]
        with pytest.raises(CmflError, match="cuda does not load: no library; to fix it: install it"):
            contenders.choose_backends(["onnxruntime", "cuda"])

    def test_one_that_is_unknown(self) -> None:
        with pytest.raises(CmflError, match="unknown backend 'npu'; choose from: onnxruntime, openvino"):
            contenders.choose_backends(["npu"])


class TestPyTorch:
    CARD = tiny_model.card()

    def test_ways(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "cpu_has_bf16", lambda: True)
        found = contenders.of_pytorch(self.CARD, ["cpu"], [1, 16])
        assert names(found) == [
            "PyTorch fp32",
            "torch.compile fp32",
            "PyTorch bf16",
            "torch.compile bf16",
            "reference-style loop",
        ]
        assert found[0].measures == ("batch 1", "batch 16")
        # The nearest to 8.
        assert found[1].measures == ("batch 1",)
        assert found[-1].measures == ("folder",)
        assert found[0].options["architecture"] == "two_stream"

    def test_no_bf16_where_it_would_be_emulated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "cpu_has_bf16", lambda: False)
        found = contenders.of_pytorch(self.CARD, ["cpu"], [1])
        assert {contender.precision for contender in found} == {"fp32"}

    def test_on_a_gpu(self) -> None:
        found = contenders.of_pytorch(self.CARD, ["cuda"], [1])
        assert "PyTorch CUDA fp16" in names(found)
        assert all(contender.on_gpu for contender in found)

    def test_left_out_where_it_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders, "find_spec", lambda name: None if name == "torch" else object())
        assert contenders.torch_devices(["onnxruntime"]) == []

    def test_beside_the_backends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        assert contenders.torch_devices(["onnxruntime"]) == ["cpu"]
        assert contenders.torch_devices(["onnxruntime", "cuda"]) == ["cpu", "cuda"]
        assert contenders.torch_devices(["cuda"]) == ["cuda"]


class TestMachine:
    def test_every_means_that_a_contender_computes_with(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "cpu_has_bf16", lambda: True)
        monkeypatch.setattr(contenders, "multiplies_half_precision", lambda: True)
        found = contenders.of_machine(["onnxruntime", "openvino", "cuda"], ["cpu"])
        assert [(c.options["means"], c.precision) for c in found] == [
            ("onnxruntime", "fp32"),
            ("onnxruntime", "int8"),
            ("openvino", "fp32"),
            ("openvino", "bf16"),
            ("openvino", "int8"),
            ("cuda", "fp32"),
            ("cuda", "fp16"),
            ("torch cpu", "fp32"),
            ("torch cpu", "bf16"),
        ]
        assert {c.options["size"] for c in found if c.on_gpu} == {4096}

    def test_no_bf16_where_it_would_be_emulated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "cpu_has_bf16", lambda: False)
        monkeypatch.setattr(contenders, "multiplies_half_precision", lambda: False)
        found = contenders.of_machine(["onnxruntime", "openvino"], ["cpu"])
        assert "bf16" not in {contender.precision for contender in found}

    def test_numpy_where_there_is_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders, "find_spec", lambda _name: None)
        (only,) = contenders.of_machine(["onnxruntime"], [])
        assert only.options["means"] == "numpy"
