"""OpenVINO behind the same session: the same scores, chosen where it is faster, named where it runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.runtime import providers
from cmfl_export.runtime.card import METADATA_KEY
from cmfl_export.runtime.openvino import OpenVinoModel
from cmfl_export.runtime.session import Session
from tests.cmfl_export import tiny_model
from tests.conftest import picture


def write(path: Path, precision: str) -> Path:
    model = tiny_model.build()
    card = replace(tiny_model.card(), precision=precision)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def test_scores_are_those_of_onnx_runtime(model_file: Path) -> None:
    images = np.stack([picture(number) for number in range(3)])
    there, here = (Session.open(model_file, provider) for provider in ("onnxruntime", "openvino"))
    assert (there.provider, here.provider, here.full_batches) == ("cpu", "openvino", False)
    assert (here.outputs, here.card) == (there.outputs, there.card)
    for size in (1, 3):
        expected, got = there.run(images[:size]), here.run(images[:size])
        assert tuple(got) == there.outputs
        for name in there.score_outputs:
            np.testing.assert_allclose(got[name], expected[name], atol=1e-4)
        assert np.abs(got["spectrum"] - expected["spectrum"]).max() < 2e-4


@pytest.mark.parametrize(
    ("precision", "provider", "runs_on"),
    [
        ("fp32", "cpu", "cpu"),
        ("int8", "cpu", "openvino"),
        ("fp16", "cpu", "openvino"),
        ("int8", "onnxruntime", "cpu"),
        ("fp32", "openvino", "openvino"),
    ],
)
def test_what_cpu_means(precision: str, provider: str, runs_on: str, tmp_path: Path) -> None:
    session = Session.open(write(tmp_path / "m.onnx", precision), provider)
    assert session.provider == runs_on
    batch = np.stack([picture(number) for number in range(2)])
    expected = np.array([tiny_model.expected(image) for image in batch]).T
    np.testing.assert_allclose(np.stack(list(session.run(batch).values())), expected, atol=1e-5)


def test_threads_do_not_mix_their_results(tmp_path: Path) -> None:
    session = Session.open(write(tmp_path / "m.onnx", "int8"), "openvino")
    batches = [np.full((2, 224, 224, 3), value, np.uint8) for value in range(40)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(session.run, batches))
    scores = [result["p_real"].tolist() for result in results]
    np.testing.assert_allclose(scores, [[value / 255] * 2 for value in range(40)], atol=1e-6)


def test_no_thread_is_bound_to_a_core(model_file: Path) -> None:
    # Whether a thread is left bound depends on timing, and a process that it starts then has one core.
    model = OpenVinoModel(model_file, model_file.read_bytes(), "fp32", threads=2)
    for low_latency in (True, False):
        compiled = model._compile(*model._parts[0], low_latency)
        assert compiled.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize(
    ("threads", "concurrent_batches"),
    [(1, 1), (2, 2), (7, 7), (8, 8), (9, 4), (11, 5), (12, 6), (16, 8), (64, 8)],
)
def test_threads_are_shared_between_concurrent_batches(
    threads: int, concurrent_batches: int, model_file: Path
) -> None:
    model = OpenVinoModel(model_file, model_file.read_bytes(), "fp32", threads)
    assert model.concurrent_batches == concurrent_batches


def test_each_way_is_compiled_when_it_is_wanted(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OpenVinoModel(model_file, model_file.read_bytes(), "int8", threads=2)
    compiled: list[tuple[bool, int]] = []
    compile_one = model._compile

    def watching(part: Any, precision: str, low_latency: bool) -> Any:
        result = compile_one(part, precision, low_latency)
        compiled.append((low_latency, result.get_property("NUM_STREAMS")))
        return result

    monkeypatch.setattr(model, "_compile", watching)
    batch = np.stack([picture(number) for number in range(4)])
    with ThreadPoolExecutor(2) as pool:
        beside = list(
            pool.map(lambda part: model.run(["p_real"], part, low_latency=False)[0], (batch, batch[::-1]))
        )
    assert compiled == [(False, 2)]
    (by_itself,) = model.run(["p_real"], batch)
    assert compiled == [(False, 2), (True, 1)]
    np.testing.assert_allclose(beside[0], by_itself, atol=1e-5)
    np.testing.assert_allclose(beside[1], by_itself[::-1], atol=1e-5)


def test_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write(tmp_path / "m.onnx", "int8")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "openvino" else find(name, *rest)
    )
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert Session.open(model, "cpu").provider == "cpu"
    assert not providers.has_openvino()
    with pytest.raises(CmflError, match=r"pip install 'cmfl-export\[openvino\]'"):
        Session.open(model, "openvino")


class TestWhatItCannotLoad:
    """One line that says what to do: whether it shows when the file is read or when it is compiled."""

    MESSAGE = r"m\.onnx: OpenVINO cannot load the model: .*no such operator; use --provider onnxruntime"

    @staticmethod
    def broken(*_: Any) -> None:
        raise RuntimeError("Exception from src/core:\n  no such\n  operator")

    def test_to_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        openvino = providers.load_openvino()

        monkeypatch.setattr(openvino.Core, "read_model", self.broken)
        with pytest.raises(CmflError, match=self.MESSAGE) as error:
            Session.open(write(tmp_path / "m.onnx", "int8"), "openvino")
        assert "\n" not in str(error.value)

    def test_to_be_compiled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        session = Session.open(write(tmp_path / "m.onnx", "int8"), "openvino")
        monkeypatch.setattr(OpenVinoModel, "_compile", self.broken)
        with pytest.raises(CmflError, match=self.MESSAGE) as error:
            session.run(np.stack([picture(0)]))
        assert "\n" not in str(error.value)


def test_what_was_compiled_is_kept_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write(tmp_path / "m.onnx", "int8")
    monkeypatch.setenv("CMFL_CACHE", str(tmp_path / "cache"))
    batch = np.stack([picture(0)])
    first = Session.open(model, "openvino").run(batch)
    kept = list((tmp_path / "cache" / "openvino").iterdir())
    assert kept
    assert Session.open(model, "openvino").run(batch) == first
    assert list((tmp_path / "cache" / "openvino").iterdir()) == kept
    (tmp_path / "file").touch()
    monkeypatch.setenv("CMFL_CACHE", str(tmp_path / "file"))
    assert Session.open(model, "openvino").run(batch) == first


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system does not fork")
def test_first_runs_on_many_threads_end() -> None:
    """Without the mend every second process hangs."""
    command = [sys.executable, "-m", "tests.cmfl_export.openvino_stress", "25"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=1800, check=True
    )
    assert done.stdout.split() == ["25", "of", "25", "ended"]
