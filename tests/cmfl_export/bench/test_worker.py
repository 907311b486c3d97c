"""The process of a contender: what it answers, and what becomes of it when it fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from cmfl_export.bench import process, worker
from cmfl_export.bench.contenders import Contender
from cmfl_export.bench.process import ContenderError, Worker

NUMPY = Contender(
    "numpy", "products", "fp32", ("products",), {"means": "numpy", "precision": "fp32", "size": 16}
)
GIVEN = {"threads": 1, "images": [], "compared": 0}


@pytest.fixture
def running() -> Iterator[Worker]:
    with Worker(NUMPY, 1) as found:
        yield found


class Clock:
    """Time that passes only in sleep, a part of it on the processor."""

    def __init__(self, busy: float = 0.0) -> None:
        self.now, self.busy, self.slept = 0.0, busy, 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.busy * self.now


def use(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sleep", "perf_counter", "process_time"):
        monkeypatch.setattr(time, name, getattr(clock, name))


class TestTimed:
    def test_whole_repetitions_until_the_time_has_passed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use(Clock(), monkeypatch)

        def unit() -> float:
            time.sleep(0.02)
            return 3

        answer = worker.timed(unit, 0.05)
        assert answer["times"] == pytest.approx([0.02, 0.02, 0.02])
        assert answer["amount"] == 9
        assert answer["seconds"] == pytest.approx(0.06)

    def test_at_least_one(self) -> None:
        assert worker.timed(lambda: 1, 1e-9)["amount"] == 1


class TestSettle:
    def test_a_process_at_rest_is_seen_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        use(clock, monkeypatch)
        assert worker.settle() == 0
        assert clock.slept == 1

    def test_threads_that_spin_are_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spent = iter([0.0, 1.0, 1.0, 1.5, 1.5, 1.5])
        use(Clock(), monkeypatch)
        monkeypatch.setattr(time, "process_time", lambda: next(spent))
        assert worker.settle() == 0
        assert list(spent) == []

    def test_but_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(busy=2.0)
        use(clock, monkeypatch)
        assert worker.settle() == pytest.approx(2)
        assert clock.now == pytest.approx(worker._LONGEST_SETTLING, abs=1.5 * worker._LOOK_SECONDS)


class TestProcess:
    def test_measures(self, running: Worker) -> None:
        about = running.load(GIVEN)
        assert about["load_seconds"] > 0
        # An interpreter with NumPy.
        assert 10e6 < about["peak_bytes"] < 1e9
        answer = running.measure("products", 0.01)
        # Four products of 16 x 16 matrices are a unit.
        assert answer["amount"] == len(answer["times"]) * 4 * 2 * 16**3
        assert answer["seconds"] >= 0.01

    def test_the_cause_of_a_failure(self) -> None:
        absent = Contender("x", "model", "fp32", (), {"model": "absent.onnx", "provider": "cpu"})
        with (
            Worker(absent, None) as found,
            pytest.raises(ContenderError, match=r"^absent.onnx: no such model file$"),
        ):
            found.load(GIVEN)

    def test_a_process_that_dies(self, running: Worker) -> None:
        running.load(GIVEN)
        os.kill(running._process.pid, signal.SIGKILL)
        with pytest.raises(ContenderError, match="killed; perhaps for lack of memory"):
            running.measure("products", 0.01)

    def test_one_that_hangs_is_ended(self, running: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
        running.load(GIVEN)
        monkeypatch.setattr(process, "LONGEST_ANSWER", 0.5)
        with pytest.raises(ContenderError, match=r"no answer within 0\.5 s"):
            running.measure("products", 60.0)

    def test_what_libraries_print_is_no_answer(self, capfd: pytest.CaptureFixture[str]) -> None:
        before = os.dup(1)
        try:
            with worker.own_standard_output() as answers:
                os.write(1, b"a library")
                answers.write("an answer")
        finally:
            os.dup2(before, 1)
            os.close(before)
        said = capfd.readouterr()
        assert (said.out, said.err) == ("an answer", "a library")
