"""Sessions: what they accept, what they compute, and honesty about the provider."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from cmfl_export.base import cpu
from cmfl_export.base.errors import CmflError
from cmfl_export.runtime import providers
from cmfl_export.runtime.card import SCHEMA_VERSION
from cmfl_export.runtime.session import Session, create_session, read_card
from tests.cmfl_export import tiny_model

CHATTER_MODEL = """
import sys
from cmfl_export.base.errors import CmflError
from cmfl_export.runtime import Session
Session.open(sys.argv[1], "auto")
for name in ("cuda", "cuda-graph", "tensorrt"):
    try:
        Session.open(sys.argv[1], name)
    except CmflError:
        pass
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "tiny.onnx")


class CpuOnly:
    """Stands for an InferenceSession of a machine where no GPU provider loads."""

    def __init__(self, model: Any, options: Any, providers: Sequence[Any], enable_fallback: int) -> None:
        assert enable_fallback == 0

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def pretend_wheel_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    monkeypatch.setattr(providers, "conflict", lambda: None)
    monkeypatch.setattr(providers, "prepare", lambda _name: None)


def test_scores_are_those_computed_by_hand(model: Path) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    result = Session.open(model, "cpu").run(batch)
    assert tuple(result) == tiny_model.SCORES
    by_hand = np.array([tiny_model.expected(image) for image in batch]).T
    np.testing.assert_allclose(np.stack(list(result.values())), by_hand, atol=1e-5)


def test_only_the_asked_outputs_come_back(tmp_path: Path) -> None:
    session = Session.open(
        tiny_model.write(tmp_path / "m.onnx", outputs=(*tiny_model.SCORES, "embedding")), "cpu"
    )
    batch = np.zeros((2, 224, 224, 3), np.uint8)
    assert session.score_outputs == tiny_model.SCORES
    assert list(session.run(batch, ["embedding"])) == ["embedding"]
    assert session.run(batch)["embedding"].shape == (2, 3)
    with pytest.raises(ValueError, match="heatmap"):
        session.run(batch, ["heatmap"])


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 3, 224, 224), np.uint8),
        np.zeros((0, 224, 224, 3), np.uint8),
    ],
)
def test_other_batches_are_refused(model: Path, batch: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Session.open(model, "cpu").run(batch)


def test_the_card_comes_from_the_file(model: Path) -> None:
    assert Session.open(model, "cpu").card == tiny_model.card()
    assert read_card(model) == tiny_model.card()


def test_cpu_session_uses_the_threads_asked_for_and_does_not_pad(model: Path) -> None:
    session = Session.open(model, "cpu", threads=1)
    assert (session.threads, session.full_batches, session.provider) == (1, False, "cpu")
    assert Session.open(model, "cpu").threads == cpu.usable_cores()
    with pytest.raises(CmflError, match="at least 1"):
        Session.open(model, "cpu", threads=0)


@pytest.mark.parametrize("open_model", [lambda path: Session.open(path, "cpu"), read_card])
def test_unusable_files_are_one_line_errors(tmp_path: Path, open_model: Any) -> None:
    text, empty = tmp_path / "text.onnx", tmp_path / "empty.onnx"
    text.write_text("this is no model at all " * 20)
    empty.touch()
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(tiny_model.build().SerializeToString()[:300])
    bare = tiny_model.write(tmp_path / "bare.onnx", with_card=False)
    cases = [
        (tmp_path / "absent.onnx", "no such"),
        (tmp_path, "folder"),
        (text, "not an ONNX file"),
        (empty, "not an ONNX file"),
        (truncated, "truncated.onnx"),
        (bare, "cmfl export"),
    ]
    for path, words in cases:
        with pytest.raises(CmflError, match=words) as caught:
            open_model(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"input_shape": (1, 224, 224, 3)},
        {"input_shape": ("batch", 112, 112, 3)},
        {"outputs": ("p_real_rgb",)},
    ],
)
def test_another_contract_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(CmflError, match="export the model again"):
        Session.open(tiny_model.write(tmp_path / "m.onnx", **options), "cpu")


def test_a_card_of_a_newer_schema_names_the_file(tmp_path: Path) -> None:
    proto = tiny_model.build()
    proto.metadata_props[0].value = proto.metadata_props[0].value.replace(
        f'"schema": {SCHEMA_VERSION}', '"schema": 99'
    )
    path = tmp_path / "new.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CmflError, match=r"new\.onnx.*schema 99"):
        Session.open(path, "cpu")


def test_unknown_provider_lists_the_choices(model: Path) -> None:
    with pytest.raises(CmflError, match="auto, cpu, onnxruntime, openvino, cuda, cuda-graph, tensorrt"):
        Session.open(model, "gpu")


@pytest.mark.parametrize("name", ["cuda", "cuda-graph", "tensorrt"])
def test_a_provider_asked_for_by_name_runs_there_or_is_an_error(model: Path, name: str) -> None:
    if providers.trouble(name) is None:
        assert Session.open(model, name).provider == name
    else:
        with pytest.raises(CmflError, match=f"{name} does not load: .+; to fix it: .+"):
            Session.open(model, name)


@pytest.mark.parametrize(
    ("loader_says", "remedy"),
    [
        ("libcublasLt.so.13: cannot open shared object file: No such file", r"cmfl-export\[cuda\]"),
        ("libcuda.so.1: cannot open shared object file: No such file", "driver"),
        ("", "nvidia-smi"),
    ],
)
def test_the_cause_and_the_remedy_of_a_cuda_that_does_not_load(
    model: Path, monkeypatch: pytest.MonkeyPatch, loader_says: str, remedy: str
) -> None:
    pretend_wheel_with_cuda(monkeypatch)
    monkeypatch.setattr(onnxruntime, "InferenceSession", CpuOnly)
    monkeypatch.setattr(providers, "_missing_library", lambda _name: loader_says)
    with pytest.raises(CmflError, match=remedy) as caught:
        Session.open(model, "cuda")
    assert loader_says in str(caught.value)


def test_both_distributions_installed_is_named_as_the_cause(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "installed", lambda: {"onnxruntime": "1.2", "onnxruntime-gpu": "1.3"})
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        CmflError, match="pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"
    ):
        Session.open(model, "cuda")


def test_a_wheel_without_cuda_is_named_as_the_cause(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "installed", lambda: {"onnxruntime": "1.2"})
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(CmflError, match=r"onnxruntime 1\.2 is built without it"):
        Session.open(model, "cuda")


def test_auto_takes_cuda_only_where_it_loads(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = providers.Trouble("no cuDNN", "install it")
    monkeypatch.setattr(providers, "trouble", lambda _name: broken)
    monkeypatch.setattr(providers, "nvidia_driver", lambda: "")
    session = Session.open(model)
    assert (session.provider, session.passed_over) == ("cpu", "")
    monkeypatch.setattr(providers, "nvidia_driver", lambda: "H100, 580")
    assert "no cuDNN" in Session.open(model).passed_over


def test_a_provider_that_loads_alone_but_not_with_the_model_is_an_error(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "trouble", lambda _name: None)
    monkeypatch.setattr(providers, "requested", lambda _name: [("CPUExecutionProvider", {})])
    with pytest.raises(CmflError, match="cuda was requested"):
        Session.open(model, "cuda")


def test_cuda_runs_in_true_float32() -> None:
    name, options = providers.requested("cuda")[0]
    assert (name, options["use_tf32"]) == ("CUDAExecutionProvider", "0")


def test_tensorrt_keeps_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMFL_CACHE", str(tmp_path))
    name, options = providers.requested("tensorrt")[0]
    assert name == "TensorrtExecutionProvider"
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == str(tmp_path / "tensorrt")


def test_a_run_that_fails_is_an_error_and_not_a_second_try(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert create_session(str(model), "cpu", 1, optimise=True)._enable_fallback is False
    session = Session.open(model, "cpu")

    def lost(names: list[str], batch: Any, *, low_latency: bool) -> None:
        raise RuntimeError("CUDA failure 2: out of memory\nmore")

    monkeypatch.setattr(session._engine, "run", lost)
    with pytest.raises(CmflError, match="failed on cpu with 2 images: CUDA failure 2: out of memory more"):
        session.run(np.zeros((2, 224, 224, 3), np.uint8))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros(1, np.float32), r"p_real is float32 \[1\] for 2 images"),
        (np.zeros((2, 1), np.float32), r"p_real is float32 \[2, 1\]"),
        (np.zeros(3, np.float32), r"p_real is float32 \[3\]"),
        (np.zeros((), np.float32), "p_real is float32"),
        (np.zeros(2, np.float64), "p_real is float64"),
    ],
)
def test_an_output_of_another_shape_or_type(
    model: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    session = Session.open(model, "cpu")
    monkeypatch.setattr(session._engine, "run", lambda *_args, **_options: [answer])
    with pytest.raises(CmflError, match=f"the output {words}"):
        session.run(np.zeros((2, 224, 224, 3), np.uint8), ["p_real"])


def test_what_the_preloading_of_libraries_prints_stays_out_of_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def preload() -> None:
        calls.append(1)
        print("Failed to load libcublas.so")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    providers._preload_libraries.cache_clear()
    providers.prepare("cpu")
    assert calls == []
    providers.prepare("cuda")
    providers.prepare("cuda")
    assert calls == [1]
    assert capsys.readouterr().out == ""
    providers._preload_libraries.cache_clear()  # later tests need the real libraries where there are any


def test_two_installed_distributions_are_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(providers.installed()) & {"onnxruntime", "onnxruntime-gpu"}
    monkeypatch.setattr(providers, "version", lambda _name: "1.2")
    clash = providers.conflict()
    assert clash is not None
    assert clash.remedy.endswith("pip install onnxruntime-gpu")
    assert "onnxruntime and onnxruntime-gpu" in clash.cause


def test_nothing_is_printed_while_providers_are_tried(model: Path) -> None:
    command = [sys.executable, "-c", CHATTER_MODEL, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
