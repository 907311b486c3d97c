"""Append-only files of rows, which a run continues after a kill from the last complete picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from . import setups
from .setups import Setup


class Row(Protocol):
    """A row of a result file."""

    @property
    def is_last(self) -> bool:
        """Whether this is the last row of its picture, which may have several."""
        ...


AnyRow = TypeVar("AnyRow", bound=Row)


def send(stream: BinaryIO, data: bytes) -> None:
    """Writes all of the bytes and flushes them to the operating system."""
    # One write to an unbuffered file may write only a part.
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
    stream.flush()


def whole_part(
    stream: BinaryIO,
    path: Path,
    rows: Iterable[tuple[AnyRow | None, int]],
    take: Callable[[AnyRow], None],
    setup: Setup | None,
) -> int:
    """Finds where to continue a file of rows: after the last picture that has all of its rows.

    Args:
        stream: the file, readable.
        path: the file's path, for errors and to find its set-up.
        rows: each finished record of `stream` and the offset of its end; None stands for a header.
        take: called with each row of a complete picture.
        setup: what the new rows will come from; None skips the comparison with the old rows.

    Returns:
        The offset; 0 if there is nothing to keep.

    Raises:
        UsageError: the rows come from another set-up.
    """
    begin = end = first = 0
    picture: list[AnyRow] = []
    for row, stop in rows:
        if row is None:
            begin = end = stop
            continue
        first = first or stop
        picture.append(row)
        if row.is_last:
            for whole in picture:
                take(whole)
            picture.clear()
            end = stop
    if end > begin and setup is not None:
        stream.seek(begin)
        setups.refuse_another(path, setup, stream.read(first - begin))
    return end
