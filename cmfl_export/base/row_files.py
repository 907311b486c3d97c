"""Files of rows that only grow: each row whole, and after a kill gone on with from the last whole picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from . import setups
from .setups import Setup


class Row(Protocol):
    @property
    def is_last(self) -> bool:
        """Whether it is the last row of its picture, which may have several."""
        ...


AnyRow = TypeVar("AnyRow", bound=Row)


def send(stream: BinaryIO, data: bytes) -> None:
    """Writes all of the bytes; the operating system then has them."""
    # An unbuffered file may take less than it is given.
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
    """Finds where a file of rows is to be gone on with: after the last picture that has all of its rows.

    Args:
        stream: the file, readable.
        path: what errors call it, and beside which its set-up is.
        rows: each finished record of `stream` and the offset of its end; None stands for a header.
        take: called with each row of a whole picture.
        setup: what the new rows will come from; None asks nothing of those that are there.

    Returns:
        The offset, 0 where there is nothing to keep.

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
