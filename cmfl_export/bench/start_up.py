"""Measures start-up: the time from the command `cmfl predict` to its first row."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from .process import ContenderError

_COMMAND = "from cmfl_export.cli import main; main()"


def first_row_seconds(model: str, provider: str, threads: int | None, image: str) -> float:
    """Returns the seconds from the start of a new process that scores one image until its row appears.

    The system's cache has the files, as every contender has read them before.

    Raises:
        ContenderError: no row appears; has the command's own error message.
    """
    arguments = ["predict", image, "--model", str(Path(model)), "--provider", provider, "--no-progress"]
    if threads is not None:
        arguments += ["--threads", str(threads)]
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        header, row = (process.stdout.readline(), process.stdout.readline()) if process.stdout else ("", "")
        seconds = time.perf_counter() - start
        _, said = process.communicate()
    if not header or not row:
        raise ContenderError(
            " ".join(said.split()).removeprefix("cmfl: ") or f"exit code {process.returncode}"
        )
    return seconds
