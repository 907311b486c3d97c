"""The set-up (model and options) of a file of rows: kept beside it, and compared by a run that resumes it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import write_whole
from .versions import own_version

# The model and each option that changes rows, by the name that users know.
Setup = Mapping[str, str | int | float | bool | None]

_ENDING = ".setup.json"
_MOST_BYTES = 1 << 16
_ABOUT = "The model and options that made the rows of the file beside this one; --resume needs the same."


def beside(path: Path) -> Path:
    """The path of the set-up file for a file of rows."""
    return path.with_name(path.name + _ENDING)


def complete(setup: Setup) -> Setup:
    """The set-up together with the version of this package, which decodes and scores."""
    return {**setup, "cmfl-export": own_version()}


def keep(path: Path, setup: Setup, first: bytes) -> None:
    """Writes the set-up beside a file whose first row will be `first`.

    Call this before writing that row, so that no row is ever without a set-up: a kill in between leaves a
    file without rows. In a folder without write permission nothing is written.

    Raises:
        UsageError: it cannot be written.
    """
    record = {"about": _ABOUT, "first_row_sha256": _hash(first), "setup": dict(complete(setup))}
    if os.access(path.parent, os.W_OK):
        write_whole(beside(path), (json.dumps(record, indent=2) + "\n").encode())


def forget(path: Path) -> None:
    """Removes the set-up of rows that no longer exist."""
    with suppress(OSError):
        beside(path).unlink()


def refuse_another(path: Path, setup: Setup, first: bytes) -> None:
    """Checks that a file of rows that begins with `first` comes from this set-up.

    Raises:
        UsageError: it comes from another set-up (the message says what differs) or an unknown one.
    """
    kept = beside(path)
    try:
        with kept.open("rb") as stream:
            record: Any = json.loads(stream.read(_MOST_BYTES))
        before, begins = dict(record["setup"]), record["first_row_sha256"]
    except FileNotFoundError:
        raise UsageError(
            f"{kept} is missing, so the model and options that made the rows of {path} are unknown (an older "
            "version wrote them, or the two files were separated); write to another file"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{kept} cannot be read, so the model and options that made the rows of {path} are unknown; "
            "write to another file"
        ) from error
    if begins != _hash(first):
        raise UsageError(f"{kept} belongs to other rows than those of {path}; write to another file")
    changed = differences(before, complete(setup))
    if changed:
        raise UsageError(
            f"the rows of {path} come from another set-up ({'; '.join(changed)}); resume with that one, or "
            "write to another file"
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two complete set-ups, such as `threshold: 0.5 -> 0.6`."""
    return [
        f"{name}: {_shown(before.get(name))} -> {_shown(now.get(name))}"
        for name in dict.fromkeys((*now, *before))
        if before.get(name) != now.get(name)
    ]


def _hash(row: bytes) -> str:
    return hashlib.sha256(row).hexdigest()


def _shown(value: object) -> str:
    # The value may come from a file that anybody wrote.
    return "none" if value is None else ascii(value)[:120].strip("'")
