"""Runs the steps of the list, each in a process of its own with a time limit, within one budget of time.

A step that crashes, hangs or writes nonsense is a row with its reason, and the next step follows.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...base.text import visible

DONE, FAILED, STOPPED, SKIPPED, WAITING = "done", "failed", "stopped", "skipped", "waiting"
NOT_HERE = 3  # exit code of a step whose provider does not load
_MOST_LINES, _MOST_CHARACTERS = 60, 8000  # of what a step prints, in the record
_MOST_BYTES = 1 << 24  # of its figures
_GRACE = 0.4  # seconds from the request to end until the end; a second in all, so that Ctrl-C ends the list

log = logging.getLogger("cmfl.bench")


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        name: its name in the list.
        kind: what its figures are, see `page`.
        arguments: of the Python interpreter.
        limit: seconds that it may take.
        least: seconds below which it is not begun.
        figures: the JSON file that it writes; None for a step that only prints.
        needs: modules that must be installed.
        files: files that must be there, such as a model that an earlier step makes.
        if_there: arguments that are left out where such a file is missing.
        optional: whether a provider that does not load is no failure.
        left_out: why it does not run at all, such as the lack of a GPU.
    """

    name: str
    kind: str
    arguments: tuple[str, ...]
    limit: float
    least: float = 5.0
    figures: Path | None = None
    needs: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    if_there: tuple[Path, ...] = ()
    optional: bool = False
    left_out: str = ""

    @property
    def command(self) -> list[str]:
        """The whole command, without files that are not there."""
        missing = {str(path) for path in self.if_there if not path.exists()}
        return [sys.executable, *(argument for argument in self.arguments if argument not in missing)]


Entry = dict[str, Any]


def waiting(step: Step) -> Entry:
    """Returns the entry of a step that has not run."""
    return {
        "name": step.name,
        "kind": step.kind,
        "command": step.command,
        "status": WAITING,
        "seconds": 0.0,
        "reason": "",
        "output": "",
        "figures": None,
    }


def run_all(
    steps: Sequence[Step],
    folder: Path,
    seconds: float,
    environment: Mapping[str, str],
    kept: Mapping[str, Entry],
    write: Callable[[list[Entry]], None],
) -> list[Entry]:
    """Runs the steps in their order; returns their entries.

    Args:
        folder: for the logs of the steps.
        seconds: the budget; what no longer fits is skipped, and a step never outlasts it.
        environment: variables of the processes.
        kept: entries of an earlier run by name; those that are done and have the same command are not run.
        write: called with all entries before the first step and after each of them.
    """
    end = time.monotonic() + seconds
    entries = [waiting(step) for step in steps]
    for number, step in enumerate(steps):
        before = kept.get(step.name)
        if before is not None and before["status"] == DONE and before["command"] == step.command:
            entries[number] = before
    write(entries)
    for number, step in enumerate(steps):
        if entries[number]["status"] == WAITING:
            entry = entries[number] = run(step, folder, end - time.monotonic(), environment)
            write(entries)
            reason = f": {entry['reason']}" if entry["reason"] else ""
            log.info("%s: %s, %.0f s%s", step.name, entry["status"], entry["seconds"], reason)
    return entries


def run(step: Step, folder: Path, left: float, environment: Mapping[str, str]) -> Entry:
    """Runs one step and returns its entry; `left` is the rest of the budget in seconds."""
    entry = waiting(step)
    why = _why_not(step, left)
    if why:
        return entry | {"status": SKIPPED, "reason": why}
    text = folder / f"{re.sub(r'[^a-z0-9]+', '-', step.name.lower())}.log"
    text.parent.mkdir(parents=True, exist_ok=True)
    if step.figures is not None:
        # Of an earlier run; it must not pass for this one's.
        step.figures.unlink(missing_ok=True)
    limit = min(step.limit, left)
    start = time.monotonic()
    code = _ended(step.command, text, limit, environment)
    entry |= {"seconds": round(time.monotonic() - start, 1), "output": _tail(text)}
    figures, trouble = (None, "") if step.figures is None else read_figures(step.figures)
    entry["figures"] = figures
    last = entry["output"].strip().rpartition("\n")[2]
    if code is None:
        return entry | {"status": STOPPED, "reason": f"took longer than {limit:.0f} s"}
    if code == NOT_HERE and step.optional:
        return entry | {"status": SKIPPED, "reason": last}
    if code < 0:
        return entry | {"status": FAILED, "reason": f"ended by {_signal(-code)}"}
    if code or trouble:
        return entry | {"status": FAILED, "reason": last or f"exit code {code}" if code else trouble}
    return entry | {"status": DONE}


def read_figures(path: Path) -> tuple[Any, str]:
    """Returns the figures that a step has written, and what is wrong with them, or ""."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None, "its figures are too long"
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None, "it wrote no figures"
    except (ValueError, RecursionError):
        return None, "its figures are not JSON"
    return (found, "") if isinstance(found, dict) else (None, "its figures are no JSON object")


def _why_not(step: Step, left: float) -> str:
    if step.left_out:
        return step.left_out
    absent = [name for name in step.needs if find_spec(name) is None]
    if absent:
        return f"needs {', '.join(absent)}, which is not installed"
    missing = [path.name for path in step.files if not path.exists()]
    if missing:
        return f"needs {', '.join(missing)}, which is not there"
    return "no time left" if left < step.least else ""


def _ended(command: Sequence[str], log: Path, limit: float, environment: Mapping[str, str]) -> int | None:
    """Runs a command with its output in a file; returns its exit code, or None if it was stopped.

    A file, because a pipe would stay open for as long as a process that the step left behind.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a step and all processes that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _tail(log: Path) -> str:
    """Returns the last lines of a log, with what a terminal would obey written out."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _MOST_CHARACTERS))
        text = file.read().decode("utf-8", "replace")
    # Progress bars return to the start of a line.
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(visible(line) for line in lines[-_MOST_LINES:]).strip("\n")


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
