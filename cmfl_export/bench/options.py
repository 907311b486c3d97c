"""Checks the options that all measurements share."""

from __future__ import annotations

from pathlib import Path

from ..base.errors import UsageError
from ..base.files import check_ending, refuse_overwriting, writing
from . import plot

_MOST_SECONDS = 86_400  # of one measurement
_COMPARED = "the number of compared images"


def check(
    out: Path | None,
    picture: Path | None,
    seconds: float,
    rounds: int,
    threads: int | None,
    compared: int | None = None,
) -> None:
    """Refuses unusable options before anything is measured; see `run.bench` for what they are.

    Raises:
        UsageError: an option is out of its range, or an output cannot be written.
        PackageError: matplotlib is missing.
    """
    if not 0 < seconds <= _MOST_SECONDS:
        raise UsageError(f"seconds must be more than 0 and at most {_MOST_SECONDS:,}, not {seconds}")
    for name, value in (("rounds", rounds), ("threads", threads), (_COMPARED, compared)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    refuse_overwriting([out, picture], [])
    check_ending(out, (".json",), "the report")
    if picture is not None:
        plot.check(picture)
    for path in (out, picture):
        if path is not None:
            with writing(path):
                if path.is_dir():
                    raise UsageError(f"{path} is a folder; give the name of a file")
                path.parent.mkdir(parents=True, exist_ok=True)
