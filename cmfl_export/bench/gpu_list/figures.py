"""The figures of one step: rows in a JSON file, which is written whole after each of them.

So a step that crashes, or that is stopped, leaves the figures that it had.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...base.errors import CmflError, ProviderError
from ...base.files import write_whole
from ...runtime import providers
from ..engine import Unit
from ..worker import peak_bytes, timed
from .driver import NOT_HERE

# Options that several steps have.
Out = Annotated[Path, typer.Option(help="JSON file to write.")]
BatchSizes = Annotated[str, typer.Option(help="Batch sizes, separated by commas.")]
Seconds = Annotated[float, typer.Option(help="Seconds per measurement.")]
Workers = Annotated[int, typer.Option(help="Loader processes.")]

# The first run prepares memory and kernels, and the second one uses what was recorded or chosen in the first.
_WARM_UP = 2


class Figures:
    """The file of a step: `facts`, which hold for all of it, and `rows`.

    Args:
        path: the JSON file.
        facts: JSON values.
    """

    def __init__(self, path: Path, **facts: Any) -> None:
        self._path = path
        self.facts: dict[str, Any] = facts
        self.rows: list[dict[str, Any]] = []
        self._write()

    def learn(self, **facts: Any) -> None:
        """Adds facts."""
        self.facts |= facts
        self._write()

    def add(self, **row: Any) -> None:
        """Adds a row."""
        self.rows.append(row)
        self._write()

    def attempt(self, keys: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        """Adds a row of `keys` and what `measure` returns, or its error as `error`: one size of many."""
        try:
            found = measure()
        except Exception as error:  # such as a lack of memory, for which each library has its own
            found = {"error": said(error)}
        self.add(**keys, **found)

    def _write(self) -> None:
        text = json.dumps({"facts": self.facts, "rows": self.rows}, indent=1)
        write_whole(self._path, text.encode())


def measured(unit: Unit, seconds: float) -> dict[str, Any]:
    """Runs a unit for `seconds` after a warm-up: the rate, the number of runs, and milliseconds per run."""
    for _ in range(_WARM_UP):
        unit()
    found = timed(unit, seconds)
    times = 1e3 * np.array(found["times"])
    return {
        "rate": found["amount"] / found["seconds"],
        "runs": len(times),
        "p50_ms": float(np.median(times)),
        "p99_ms": float(np.percentile(times, 99)),
    }


def device_megabytes() -> int | None:
    """Returns the memory in use on the GPU, by all programs, or None without a GPU.

    The runtimes keep what they have had, so afterwards it tells the most that a run needed.
    """
    tool = shutil.which("nvidia-smi")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0] or "0"
    if tool is None or shown == "-1":
        return None
    command = [tool, "-i", shown, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        return int(subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout)
    return None


def host_megabytes() -> float | None:
    """Returns the peak memory of this process outside the GPU."""
    peak = peak_bytes()
    return None if peak is None else round(peak / 1e6)


def said(error: BaseException) -> str:
    """Returns an error as one line of at most 300 characters."""
    return providers.one_line(error) or type(error).__name__


def numbers(text: str) -> list[int]:
    """Returns the numbers of a list such as "1,8,64"."""
    return [int(item) for item in text.split(",") if item]


def run(main: Callable[..., None]) -> None:
    """Runs a step's function as a command.

    An error is one line and exit code 2, or `NOT_HERE` for a provider that does not load.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    try:
        app()
    except CmflError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_HERE if isinstance(error, ProviderError) else 2)
