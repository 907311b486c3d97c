"""Runs the list, and writes its JSON and its page after every step."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ...base.errors import UsageError
from ...base.files import write_whole
from ...base.locks import one_writer
from ...runtime.machine import describe
from ...zoo import find_variants
from . import plan
from .driver import DONE, Entry, run_all
from .page import page

JSON, PAGE = "gpu.json", "gpu.md"
SCHEMA_VERSION = 1


@one_writer("out", folder=True)
def run(
    out: Path,
    *,
    device: str | None = None,
    tiny: bool | None = None,
    minutes: float = 9.0,
    models: Sequence[str] = ("starter",),
    resume: bool = False,
) -> list[Entry]:
    """Runs the list and returns the entries of its steps; see `main`.

    Raises:
        UsageError: an unusable option or folder, or a run that cannot be resumed.
        ModelError: a model cannot be used.
    """
    if not minutes > 0:
        raise UsageError(f"minutes must be more than 0, not {minutes:g}")
    began = time.monotonic()
    out = out.absolute()
    machine = describe()
    device = device or ("cuda" if machine["gpu"] else "cpu")
    tiny = device == "cpu" if tiny is None else tiny
    found = [(model.card.precision, model.path.resolve()) for model in find_variants(models)]
    if found[0][0] != "fp32":
        raise UsageError(f"{', '.join(models)} has no fp32 file, which everything is compared with")
    gpus = len((machine["gpu"] or "").split("; "))
    steps = plan.Plan(found, out, device, plan.TINY if tiny else plan.FULL, gpus).steps()
    record: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "machine": machine,
        "settings": {
            "device": device,
            "tiny": tiny,
            "minutes": minutes,
            "models": [str(path) for _, path in found],
        },
        "began": datetime.now().astimezone().isoformat(" ", "seconds"),
        "seconds": 0.0,
        "steps": [],
    }
    kept = _kept(out / JSON, record) if resume else {}

    def write(entries: list[Entry]) -> None:
        record["steps"] = entries
        record["seconds"] = round(time.monotonic() - began, 1)
        write_whole(out / JSON, (json.dumps(record, indent=1) + "\n").encode())
        write_whole(out / PAGE, page(record).encode())

    left = 60 * minutes - (time.monotonic() - began)
    return run_all(steps, out / "steps", left, _environment(out, device), kept, write)


def _environment(out: Path, device: str) -> dict[str, str]:
    """Returns the variables of the steps: the code may lie in a checkout that is not installed."""
    paths = [str(plan.ROOT), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    own["TORCHINDUCTOR_CACHE_DIR"] = str(out / "steps" / "torch")
    if device == "cpu":
        own["CUDA_VISIBLE_DEVICES"] = "-1"
    return os.environ | own


def _kept(path: Path, record: dict[str, Any]) -> dict[str, Entry]:
    """Returns the finished steps of an earlier run on this machine, by name."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        same = all(before["machine"][key] == record["machine"][key] for key in ("gpu", "cpu", "versions"))
        entries = {entry["name"]: entry for entry in before["steps"] if entry["status"] == DONE}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no list to go on with; remove it, or run without --resume") from error
    if not same or before["settings"] != record["settings"]:
        raise UsageError(
            f"{path} was measured on another machine, or with other options; run without --resume"
        )
    return entries
