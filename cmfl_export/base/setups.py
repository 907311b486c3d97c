"""What the rows of a file come from: kept beside the file, and held against the run that goes on with it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import write_whole

# The model and each option that changes rows, by the name that a person knows it by.
Setup = Mapping[str, str | int | float | bool | None]

_ENDING = ".setup.json"
_MOST_BYTES = 1 << 16
_ABOUT = "What the rows of the file beside come from; --resume goes on with the same alone."


def beside(path: Path) -> Path:
    """Where the set-up of a file of rows is kept."""
    return path.with_name(path.name + _ENDING)


def complete(setup: Setup) -> Setup:
    """The set-up with the version of this package, which decodes and scores."""
    return {**setup, "cmfl-export": version("cmfl-export")}


def keep(path: Path, setup: Setup, first: bytes) -> None:
    """Writes the set-up beside a file whose first row will be `first`.

    Before that row, so that no row is ever there without it; a kill in between leaves a file without rows.

    Raises:
        CmflError: it cannot be written, although the folder can be.
    """
    record = {"about": _ABOUT, "first_row_sha256": _hash(first), "setup": dict(complete(setup))}
    if os.access(path.parent, os.W_OK):
        write_whole(beside(path), (json.dumps(record, indent=2) + "\n").encode())


def forget(path: Path) -> None:
    """Removes the set-up of rows that are no more."""
    with suppress(OSError):
        beside(path).unlink()


def refuse_another(path: Path, setup: Setup, first: bytes) -> None:
    """Sees to it that a file of rows that begins with `first` is gone on with by its own set-up.

    Raises:
        CmflError: the set-up is another, saying in what; or it is unknown.
    """
    kept = beside(path)
    try:
        with kept.open("rb") as stream:
            record: Any = json.loads(stream.read(_MOST_BYTES))
        before, begins = dict(record["setup"]), record["first_row_sha256"]
    except FileNotFoundError:
        raise UsageError(
            f"{kept} is missing, so what model and options the rows of {path} come from is not known (they "
            "were written by an older version, or the two files were parted); write to another file"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{kept} cannot be read, so what the rows of {path} come from is not known; write to another file"
        ) from error
    if begins != _hash(first):
        raise UsageError(f"{kept} is of other rows than those of {path}; write to another file")
    now = complete(setup)
    changed = [
        f"{name}: {_shown(before.get(name))} -> {_shown(now.get(name))}"
        for name in dict.fromkeys((*now, *before))
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise UsageError(
            f"the rows of {path} come from another set-up ({'; '.join(changed)}); resume with that one, or "
            "write to another file"
        )


def _hash(row: bytes) -> str:
    return hashlib.sha256(row).hexdigest()


def _shown(value: object) -> str:
    # Of a file that anybody may have written.
    return "none" if value is None else ascii(value)[:120].strip("'")
