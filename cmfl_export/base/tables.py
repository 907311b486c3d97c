"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], *, numbers: Collection[int] | None = None) -> list[str]:
    """The lines of a table with aligned columns.

    Args:
        rows: lists of cells of one length, including the header.
        numbers: the columns, from 0, to align right; by default all but the first.
    """
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = range(1, len(widths)) if numbers is None else numbers
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
