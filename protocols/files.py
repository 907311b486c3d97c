"""Checks that the files of a protocol exist, before training and not in the middle of an epoch."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from cmfl_export.base.errors import InputError, ProtocolError
from cmfl_export.base.threads import in_order

from .name_advice import NameAdvice
from .schema import Sample

Missing = tuple[Sample, str]

_NAMED = 5
_STAT_THREADS = 16
_CHUNK = 256


def missing_files(
    samples: Sequence[Sample],
    data_root: str | os.PathLike[str],
    *,
    decode: Callable[[str], object] | None = None,
) -> list[Missing]:
    """Returns the samples that cannot be used, in order, each with the reason.

    Args:
        samples: rows of a split.
        data_root: what their file names are relative to, see `cmfl_export.images.DataRoot`.
        decode: also called with every file, for example `cmfl_export.images.open_rgb`. It finds damaged files
            but takes as long as the decoding of one epoch.

    Returns:
        Pairs of sample and reason: `not found`, `not a file`, `empty`, `permission denied`, or what the
        system or the `ImageError` of `decode` says; with the cause where a name was changed on its way (see
        `name_advice`). Empty when all is well.

    Raises:
        ProtocolError: there is no such data root, or it cannot be read.
    """
    from cmfl_export.images import DataRoot

    try:
        root = DataRoot.of(data_root)
    except InputError as error:
        raise ProtocolError(str(error)) from error
    paths = [root.path(sample.filename) for sample in samples]
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    # Threads hide the latency of network file systems, and a decoder releases the interpreter lock.
    found = in_order(
        lambda chunk: [_problem(path, decode) for path in chunk],
        chunks,
        None if decode else _STAT_THREADS,
        name="files",
    )
    problems = chain.from_iterable(found)
    missing = [(sample, problem) for sample, problem in zip(samples, problems, strict=True) if problem]
    if root.folder is None:
        return missing
    advice = NameAdvice(root.folder)
    return [(sample, problem + advice.of(sample.filename)) for sample, problem in missing]


def describe_missing(missing: Sequence[Missing], total: int, data_root: str | os.PathLike[str]) -> str:
    """Returns one line for an error: how many of `total` files cannot be used, and the first few names."""
    named = ", ".join(f"{sample.filename!r} ({reason})" for sample, reason in missing[:_NAMED])
    rest = len(missing) - _NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return f"{len(missing)} of {total} files cannot be used in {data_root}: {named}{more}"


def _file_problem(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "not found"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    if status.st_size == 0:
        return "empty"
    return "" if os.access(path, os.R_OK) else "permission denied"


def _problem(path: str, decode: Callable[[str], object] | None) -> str:
    from cmfl_export.images import ImageError, is_reference, look_for

    try:
        if not is_reference(path):
            problem = _file_problem(Path(path))
            if problem:
                return problem
        elif decode is None:
            look_for(path)
        if decode is not None:
            decode(path)
    except ImageError as error:
        return error.message
    return ""
