"""What becomes of steps that crash, hang, print nonsense or come too late."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cmfl_export.bench.gpu_list import driver
from cmfl_export.bench.gpu_list.driver import DONE, FAILED, SKIPPED, STOPPED, WAITING, Entry, Step

FIGURES = '{"facts": {}, "rows": [{"rate": 1}]}'


def step(code: str, tmp_path: Path | None = None, *, limit: float = 60.0, name: str = "a step") -> Step:
    """A step that runs some Python; with a folder it should write figures there."""
    path = None if tmp_path is None else tmp_path / "figures.json"
    return Step(name, "rates", ("-c", code), limit, figures=path)


def writes(text: str, tmp_path: Path) -> str:
    return f"open({str(tmp_path / 'figures.json')!r}, 'w').write({text!r})"


def ran(one: Step, folder: Path, left: float = 60.0) -> Entry:
    return driver.run(one, folder, left, os.environ)


class TestOneStep:
    def test_figures_and_output(self, tmp_path: Path) -> None:
        entry = ran(step(f"print('hello'); {writes(FIGURES, tmp_path)}", tmp_path), tmp_path)
        assert (entry["status"], entry["reason"], entry["output"]) == (DONE, "", "hello")
        assert entry["figures"]["rows"] == [{"rate": 1}]
        assert entry["command"][0] == sys.executable

    def test_a_crash_keeps_the_figures(self, tmp_path: Path) -> None:
        code = f"{writes(FIGURES, tmp_path)}; import os; os.kill(os.getpid(), 11)"
        entry = ran(step(code, tmp_path), tmp_path)
        assert (entry["status"], entry["reason"]) == (FAILED, "ended by SIGSEGV")
        assert entry["figures"]["rows"] == [{"rate": 1}]

    def test_the_reason_is_its_last_line(self, tmp_path: Path) -> None:
        entry = ran(step("import sys; print('one'); sys.exit('out of memory')"), tmp_path)
        assert (entry["status"], entry["reason"]) == (FAILED, "out of memory")

    def test_a_hang_is_ended_with_all_its_processes(self, tmp_path: Path) -> None:
        code = (
            "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); child = os.fork()\n"
            f"if child: {writes(FIGURES, tmp_path)}\n"
            "print(child, flush=True); time.sleep(600)"
        )
        entry = ran(step(code, tmp_path, limit=5.0), tmp_path)
        assert (entry["status"], entry["reason"]) == (STOPPED, "took longer than 5 s")
        assert entry["figures"]["rows"] == [{"rate": 1}]
        child = max(int(line) for line in entry["output"].split())
        assert child
        for _ in range(100):
            if not _alive(child):
                break
            time.sleep(0.05)
        assert not _alive(child)

    def test_a_process_that_is_left_behind_does_not_hold_the_list_up(self, tmp_path: Path) -> None:
        entry = ran(step("import os, time\nif not os.fork(): time.sleep(600)"), tmp_path)
        assert entry["status"] == DONE
        assert entry["seconds"] < 60

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("{", "its figures are not JSON"),
            ("[" * 100_000, "its figures are not JSON"),
            ("[1]", "its figures are no JSON object"),
        ],
        ids=["half", "deep", "list"],
    )
    def test_nonsense_is_no_figure(self, text: str, reason: str, tmp_path: Path) -> None:
        entry = ran(step(writes(text, tmp_path), tmp_path), tmp_path)
        assert (entry["status"], entry["reason"], entry["figures"]) == (FAILED, reason, None)

    def test_figures_of_an_earlier_run_do_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "figures.json").write_text(FIGURES)
        entry = ran(step("pass", tmp_path), tmp_path)
        assert (entry["status"], entry["reason"]) == (FAILED, "it wrote no figures")

    def test_output_cannot_steer_a_terminal_and_has_an_end(self, tmp_path: Path) -> None:
        code = r"import sys; sys.stdout.buffer.write(b'x\n' * 10**6 + b'10 %\r\x1b[31m100 %\xff\n')"
        entry = ran(step(code), tmp_path)
        lines = entry["output"].split("\n")
        assert lines[-1] == "\\x1b[31m100 %\ufffd"
        assert len(lines) <= 60

    def test_a_provider_that_does_not_load(self, tmp_path: Path) -> None:
        one = step("import sys; print('tensorrt does not load'); sys.exit(3)")
        assert ran(one, tmp_path)["status"] == FAILED
        entry = ran(replace(one, optional=True), tmp_path)
        assert (entry["status"], entry["reason"]) == (SKIPPED, "tensorrt does not load")


class TestNotBegun:
    @pytest.mark.parametrize(
        ("changes", "left", "reason"),
        [
            ({"left_out": "needs a GPU"}, 60.0, "needs a GPU"),
            ({"needs": ("absent_module", "os")}, 60.0, "needs absent_module, which is not installed"),
            ({"files": (Path("absent.onnx"),)}, 60.0, "needs absent.onnx, which is not there"),
            ({"least": 10.0}, 9.0, "no time left"),
        ],
        ids=lambda value: str(value) if isinstance(value, str) else "",
    )
    def test_says_why(self, changes: dict[str, object], left: float, reason: str, tmp_path: Path) -> None:
        one = replace(step(writes(FIGURES, tmp_path), tmp_path), **changes)  # type: ignore[arg-type]
        entry = ran(one, tmp_path, left)
        assert (entry["status"], entry["reason"], entry["seconds"]) == (SKIPPED, reason, 0.0)
        assert not (tmp_path / "figures.json").exists()

    def test_a_file_that_is_not_there_is_left_out_of_a_command(self, tmp_path: Path) -> None:
        path = tmp_path / "fp16.onnx"
        one = Step(
            "a", "nodes", ("-c", "import sys; print(sys.argv[1:])", str(path), "b"), 60, if_there=(path,)
        )
        assert ran(one, tmp_path)["output"] == "['b']"
        path.touch()
        assert ran(one, tmp_path)["output"] == f"['{path}', 'b']"


class TestAll:
    def run(self, steps: list[Step], folder: Path, seconds: float, kept: dict[str, Entry]) -> list[list[str]]:
        """Runs the steps; returns the status of each after every step."""
        seen: list[list[str]] = []
        self.entries = driver.run_all(
            steps,
            folder,
            seconds,
            os.environ,
            kept,
            lambda entries: seen.append([entry["status"] for entry in entries]),
        )
        return seen

    def test_each_is_written_at_once_and_a_failure_ends_nothing(self, tmp_path: Path) -> None:
        steps = [step("pass", name="a"), step("raise SystemExit(1)", name="b"), step("pass", name="c")]
        assert self.run(steps, tmp_path, 60.0, {}) == [
            [WAITING, WAITING, WAITING],
            [DONE, WAITING, WAITING],
            [DONE, FAILED, WAITING],
            [DONE, FAILED, DONE],
        ]

    def test_a_budget_that_is_used_up(self, tmp_path: Path) -> None:
        steps = [step("import time; time.sleep(600)", name="a"), step("pass", name="b")]
        assert self.run(steps, tmp_path, 5.5, {})[-1] == [STOPPED, SKIPPED]
        assert [entry["reason"] for entry in self.entries] == ["took longer than 5 s", "no time left"]

    def test_going_on_runs_what_is_not_done(self, tmp_path: Path) -> None:
        steps = [
            step("print(1)", name="a"),
            step("raise SystemExit(1)", name="b"),
            step("print(3)", name="c"),
        ]
        self.run(steps, tmp_path, 60.0, {})
        kept = {entry["name"]: entry | {"output": "kept"} for entry in self.entries}
        steps[1], steps[2] = step("print(2)", name="b"), step("print(4)", name="c")
        seen = self.run(steps, tmp_path, 60.0, kept)
        assert seen[0] == [DONE, WAITING, WAITING]
        # The third has another command now.
        assert [entry["output"] for entry in self.entries] == ["kept", "2", "4"]


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
