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


class TestTimed:
    def test_whole_repetitions_until_the_time_has_passed(self) -> None:
        def unit() -> float:
            time.sleep(0.02)
            return 3

        answer = worker.timed(unit, 0.05)
        assert len(answer["times"]) == 3
        assert answer["amount"] == 9
        assert answer["seconds"] == pytest.approx(sum(answer["times"]))

    def test_at_least_one(self) -> None:
        assert worker.timed(lambda: 1, 1e-9)["amount"] == 1


class TestSettle:
    def test_a_process_at_rest_is_seen_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "process_time", lambda: 1.0)
        start = time.perf_counter()
        assert worker.settle() == 0
        assert time.perf_counter() - start < 1

    def test_threads_that_spin_are_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spent = iter([0.0, 1.0, 1.0, 1.5, 1.5, 1.5])
        monkeypatch.setattr(time, "process_time", lambda: next(spent))
        assert worker.settle() == 0
        assert list(spent) == []

    def test_but_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker, "_LONGEST_SETTLING", 0.1)
        monkeypatch.setattr(time, "process_time", lambda: 2 * time.perf_counter())
        assert worker.settle() == pytest.approx(2, rel=0.1)


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
