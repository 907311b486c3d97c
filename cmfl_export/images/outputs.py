"""Checks that no output of a command overwrites one of its input pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..base.errors import UsageError
from ..base.files import is_stream, refuse_overwriting
from .decoding import FORMATS
from .folders import EXTENSIONS, is_pattern
from .foreign import VIDEO_ENDINGS
from .inputs import iter_paths
from .sources import scheme_of

# The first bytes of this package's outputs: rows as csv, jsonl, json and parquet, pages, reports.
_OURS = (b"path,", b'{"path": ', b"[\n", b"PAR1", b"<!doctype html>", b"{\n")


def refuse_inputs(outputs: Iterable[Path | None], inputs: Sequence[str]) -> None:
    """Checks, before the inputs are walked and anything is written, that no output is one of them.

    The folders and lists of inputs may hold millions of files and are not searched: an existing output is
    recognised as a picture by its name or content.

    Args:
        outputs: files that will be written; None entries are skipped.
        inputs: as in `iter_paths`.

    Raises:
        UsageError: an output is, or may be, an input. The message names it and says why.
    """
    named = [path for path in outputs if path is not None]
    refuse_overwriting(named, _files(inputs))
    for output in named:
        if is_stream(output):
            continue
        target = Path(os.path.realpath(output))
        if {output.suffix.lower(), target.suffix.lower()} & {*EXTENSIONS, *VIDEO_ENDINGS}:
            raise UsageError(f"{output} has the name of a picture or a video; give the output another name")
        if not target.is_file() or target.stat().st_size == 0:
            continue
        if _is_picture(target):
            raise UsageError(
                f"{output} is a picture, which would be overwritten; give the output another name"
            )
        if target.stat().st_nlink > 1:
            walked = iter_paths(text for text in inputs if text != "-" and not scheme_of(text))
            refuse_overwriting([output], (("one of the inputs", path) for path in walked))
        if "-" in inputs and not _is_ours(target):
            raise UsageError(
                f"{output} exists and is no output of cmfl, so the list on standard input may name it; "
                "remove it, or give the output another name"
            )


def _files(inputs: Sequence[str]) -> Iterator[tuple[str, str | int]]:
    """Yields the files that inputs name, those that patterns match, and the file behind standard input."""
    for text in inputs:
        if scheme_of(text):
            continue
        if text != "-":
            yield "one of the inputs", text
            if is_pattern(text) and not os.path.lexists(text):
                yield from (("one of the inputs", path) for path in iter_paths([text]))
        else:
            try:
                yield "the list on standard input", sys.stdin.fileno()
            except (OSError, ValueError, AttributeError):  # standard input is no file
                continue


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # a decoder may raise anything on a file of another kind
        return False


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(32).startswith(_OURS)
    except OSError:
        return False
