"""The installed command, run as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CMFL = str(Path(sys.executable).with_name("cmfl"))
TRAINING = ("torch", "torchvision", "lightning", "onnx", "onnxscript", "safetensors", "scipy", "tensorboard")
# With it, Python would not buffer standard output, as it does for users.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


def cmfl(*arguments: object, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CMFL, *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | environment,
        timeout=300,
        check=False,
    )


def the_error(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command says, and all that it says."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("cmfl: ")
    return line


def imported(*arguments: object) -> set[str]:
    """The top-level modules that a command loads."""
    result = cmfl(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", result.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}
