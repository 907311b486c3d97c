"""The order of a run, and what a failure does to it."""

from __future__ import annotations

from typing import Any

import pytest

from cmfl_export.bench import measuring
from cmfl_export.bench.contenders import Contender
from cmfl_export.bench.process import ContenderError

log: list[tuple[str, str]] = []


class FakeWorker:
    """Answers at once; fails where the options of its contender say so."""

    def __init__(self, contender: Contender, threads: int | None) -> None:
        self.contender = contender
        self.asked = 0

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        log.append((self.contender.name, "end"))

    def load(self, given: dict[str, Any]) -> dict[str, Any]:
        log.append((self.contender.name, "load"))
        assert given == {"threads": 2, "images": ["a.png"], "compared": 7}
        if "load" in self.contender.options:
            raise ContenderError("no engine")
        return {"peak_bytes": 1}

    def measure(self, name: str, seconds: float) -> dict[str, Any]:
        log.append((self.contender.name, name))
        self.asked += 1
        if self.asked == self.contender.options.get("fails_at"):
            raise ContenderError("no memory")
        return {"amount": 6.0, "seconds": seconds, "times": [seconds], "busy_cores": 0.0}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    log.clear()
    monkeypatch.setattr(measuring, "Worker", FakeWorker)
    monkeypatch.setattr(measuring, "first_row_seconds", lambda *_: 1.5)


def run(*contenders: Contender, rounds: int = 2) -> list[measuring.Result]:
    return measuring.measure(contenders, seconds=2.0, rounds=rounds, threads=2, images=["a.png"], compared=7)


def contender(name: str, *measures: str, **options: Any) -> Contender:
    return Contender(name, "model", "fp32", measures, {"model": "m", "provider": "cpu"} | options)


def test_every_contender_in_turn_for_each_measure_of_each_round() -> None:
    first, second = run(contender("a", "batch 1", "folder"), contender("b", "folder", "batch 8"))
    a_round = [("a", "batch 1"), ("a", "folder"), ("b", "folder"), ("b", "batch 8")]
    assert log == [("a", "load"), ("b", "load"), *a_round, *a_round, ("b", "end"), ("a", "end")]
    assert first.rates("folder") == [3.0, 3.0]
    assert second.rate("batch 8") == 3.0
    assert second.rate("batch 1") is None


def test_start_up_is_measured_in_processes_of_its_own() -> None:
    (only,) = run(contender("a", "start-up"))
    assert [sample.seconds for sample in only.samples["start-up"]] == [1.5, 1.5]
    assert log == [("a", "load"), ("a", "end")]


def test_one_that_does_not_load_is_passed_over() -> None:
    broken, sound = run(contender("a", "folder", load=True), contender("b", "folder"))
    assert broken.failures == {"load": "no engine"}
    assert broken.samples == {}
    assert sound.rates("folder") == [3.0, 3.0]


def test_a_measure_that_fails_once_has_no_figure_and_is_not_tried_again() -> None:
    (only,) = run(contender("a", "batch 8", "batch 32", fails_at=4), rounds=3)
    assert only.failures == {"batch 32": "no memory"}
    assert only.rates("batch 8") == [3.0] * 3
    assert only.rates("batch 32") == []
    assert log.count(("a", "batch 32")) == 2
