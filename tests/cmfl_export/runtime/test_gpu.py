"""Inputs and outputs in fixed places of a device: on the CPU, whose memory is bound in the same way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cmfl_export.detector import Detector
from cmfl_export.runtime import providers, session
from cmfl_export.runtime.gpu import DeviceModel
from cmfl_export.runtime.session import Session, create_session
from tests.cmfl_export import tiny_model
from tests.cmfl_export.predictions import the_row
from tests.conftest import picture

OUTPUTS = (*tiny_model.SCORES, "embedding")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "tiny.onnx", outputs=OUTPUTS)


@pytest.fixture
def opened(model: Path) -> Any:
    return create_session(str(model), "cpu", 1, optimise=True)


def batch_of(*numbers: int) -> NDArray[np.uint8]:
    return np.stack([picture(number) for number in numbers])


@pytest.mark.parametrize("recorded", [False, True])
def test_outputs_are_those_of_a_plain_run(opened: Any, recorded: bool) -> None:
    device = DeviceModel(opened, "cpu", recorded)
    for numbers in ((1, 2, 3), (4, 5, 6), (7,), (8, 9, 1)):
        batch = batch_of(*numbers)
        for names in (OUTPUTS, ("embedding",), ("p_real_rgb", "p_real")):
            got = device.run(names, batch)
            expected = opened.run(list(names), {"image": batch})
            for value, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(value, other)


def test_results_outlive_the_next_run(opened: Any) -> None:
    device = DeviceModel(opened, "cpu")
    (first,) = device.run(["embedding"], batch_of(1, 2))
    kept = first.copy()
    device.run(["embedding"], batch_of(3, 4))
    np.testing.assert_array_equal(first, kept)


def test_an_array_with_strides_is_copied_as_it_looks(opened: Any) -> None:
    device = DeviceModel(opened, "cpu")
    batch = batch_of(1, 2, 3, 4)[::2, :, ::-1]
    np.testing.assert_array_equal(
        device.run(["embedding"], batch)[0], opened.run(["embedding"], {"image": batch})[0]
    )


class TestPlaces:
    """One set of places for a batch size and its outputs; a graph's are kept, as it writes there."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
        shapes: list[tuple[int, ...]] = []
        bind = DeviceModel._bind

        def counting(self: DeviceModel, names: tuple[str, ...], batch: NDArray[np.uint8]) -> Any:
            shapes.append(batch.shape[:1])
            return bind(self, names, batch)

        monkeypatch.setattr(DeviceModel, "_bind", counting)
        return shapes

    @pytest.mark.parametrize(("recorded", "times"), [(False, [2, 1, 2]), (True, [2, 1])])
    def test_are_used_again(
        self, opened: Any, made: list[tuple[int, ...]], recorded: bool, times: list[int]
    ) -> None:
        device = DeviceModel(opened, "cpu", recorded)
        for numbers in ((1, 2), (3, 4), (5,), (6,), (7, 8)):
            device.run(["p_real"], batch_of(*numbers))
        assert made == [(size,) for size in times]

    def test_every_graph_has_a_number(self, opened: Any) -> None:
        device = DeviceModel(opened, "cpu", recorded=True)
        for names, numbers in ((["p_real"], (1, 2)), (["p_real"], (3,)), (["embedding"], (3,))):
            device.run(names, batch_of(*numbers))
        found = [bound.options.get_run_config_entry("gpu_graph_id") for bound in device._bound.values()]
        assert found == ["1", "2", "3"]


def test_all_runs_are_in_one_thread(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = DeviceModel(opened, "cpu")
    seen: set[str] = set()
    run = device._run

    def watching(names: tuple[str, ...], batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        seen.add(threading.current_thread().name)
        return run(names, batch)

    monkeypatch.setattr(device, "_run", watching)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: device.run(["embedding"], batch_of(number))[0], range(1, 9)))
    for number, answer in enumerate(answers, 1):
        np.testing.assert_array_equal(
            answer, opened.run(["embedding"], {"image": batch_of(number)})[0], err_msg=str(number)
        )
    assert len(seen) == 1


class TestSession:
    """How a session comes to it, with the CPU in the GPU's place."""

    @pytest.fixture
    def with_cuda(self, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        found: list[bool] = []

        def on_cpu(session: Any, device: str, *, recorded: bool) -> DeviceModel:
            assert device == "cuda"
            found.append(recorded)
            return DeviceModel(session, "cpu", recorded)

        requested: Callable[[str], Any] = providers.requested
        monkeypatch.setattr(session, "DeviceModel", on_cpu)
        monkeypatch.setattr(providers, "requested", lambda _name: requested("cpu"))
        monkeypatch.setattr(providers, "prepare", lambda _name: None)
        monkeypatch.setattr(providers, "trouble", lambda _name: None)
        monkeypatch.setitem(providers.ORT_NAMES, "cuda", "CPUExecutionProvider")
        monkeypatch.setitem(providers.ORT_NAMES, "cuda-graph", "CPUExecutionProvider")
        return found

    @pytest.mark.parametrize("provider", ["cuda", "cuda-graph"])
    def test_scores(self, model: Path, with_cuda: list[bool], provider: str) -> None:
        session = Session.open(model, provider)
        assert (session.provider, session.full_batches) == (provider, True)
        assert with_cuda == [provider == "cuda-graph"]
        batch = batch_of(1, 2)
        by_hand = [tiny_model.expected(image) for image in batch]
        got = session.run(batch, session.score_outputs)
        np.testing.assert_allclose(np.stack(list(got.values())).T, by_hand, atol=1e-5)

    def test_rows_of_a_stream(self, model: Path, with_cuda: list[bool]) -> None:
        rows = Detector(model, provider="cuda-graph", batch_size=4).predict(
            [picture(number) for number in range(1, 8)]
        )
        alone = Detector(model, provider="onnxruntime")
        assert [row.p_real for row in rows] == [
            the_row(alone.predict(picture(number))).p_real for number in range(1, 8)
        ]


def test_a_graph_is_asked_for_by_name() -> None:
    (name, options), _ = providers.requested("cuda-graph")
    assert (name, options["enable_cuda_graph"]) == ("CUDAExecutionProvider", "1")
    assert "enable_cuda_graph" not in providers.requested("cuda")[0][1]
    assert options["use_tf32"] == "0"
