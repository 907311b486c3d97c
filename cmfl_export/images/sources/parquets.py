"""Rows of a Parquet file with encoded pictures in one column: bytes, or a struct of `bytes` and `path`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ...base.errors import InputError, need
from ..status import ImageError, Status
from .place import Content, Fault, Place

# What the column is called where it is not named: that of Hugging Face's datasets, or plainly what it is.
COLUMNS = ("image", "bytes")
_AT_ONCE = 8
_NAME = re.compile(r"(.+?)/([0-9]{1,18})(?:/.*)?", re.DOTALL)


def rows(stream: BinaryIO, column: str | None = None, first: int = 0) -> Iterator[tuple[str, Place]]:
    """Yields the rows as `COLUMN/ROW` or `COLUMN/ROW/NAME` with their bytes, in order.

    Args:
        stream: the file; can seek. It is read page by page.
        column: None takes the first of COLUMNS that the file has.
        first: the row to begin with.

    Raises:
        ImageError: the file is damaged; the rows before were yielded.
        InputError: there is no such column, or it holds no bytes.
        PackageError: pyarrow is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise need("parquet", "reading Parquet files") from error
    try:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        name, leaves = _leaves(pa, file.schema_arrow, column)
        number, groups = _groups_from(file.metadata, first)
        for batch in file.iter_batches(_AT_ONCE, row_groups=groups, columns=leaves):
            passed = max(0, first - number)
            for row, value in enumerate(batch.column(0).slice(passed), number + passed):
                data, label = _parts(value.as_py())
                text = f"{name}/{row}/{label}" if label else f"{name}/{row}"
                yield text, _place(data, label)
            number += len(batch)
    except (pa.ArrowException, pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        message = "the Parquet file is damaged: the rows behind are not read"
        raise ImageError(Status.UNREADABLE, message) from error


def number_in(name: str) -> tuple[str, int]:
    """Returns column and number in the name of a row.

    Raises:
        ImageError: it is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ImageError(Status.NOT_FOUND, "a row of a Parquet file is FILE::COLUMN/NUMBER")
    return found[1], int(found[2])


def _leaves(pa: Any, schema: Any, column: str | None) -> tuple[str, list[str]]:
    """The column's name, and what to read of it."""
    name = column or next((name for name in COLUMNS if name in schema.names), None)
    if name is None or name not in schema.names:
        there = ", ".join(schema.names[:8]) or "none"
        what = f"no column {column!r}" if column else "neither a column image nor bytes"
        raise InputError(f"a Parquet file has {what}; its columns are: {there}; name one with --column")
    if "/" in name:
        raise InputError(f"the column {name!r} has a slash in its name; rename it")
    kind = schema.field(name).type
    if _is_bytes(pa, kind):
        return name, [name]
    if pa.types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        if "bytes" in fields and _is_bytes(pa, fields["bytes"]):
            return name, [f"{name}.{field}" for field in ("bytes", "path") if field in fields]
    raise InputError(f"the column {name!r} of a Parquet file holds {kind}, no bytes; name one with --column")


def _is_bytes(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _groups_from(metadata: Any, first: int) -> tuple[int, list[int]]:
    """The number of the first row of the row group that has row `first`, and the groups from there."""
    start = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if start + count > first:
            return start, list(range(group, metadata.num_row_groups))
        start += count
    return start, []


def _parts(value: Any) -> tuple[bytes | None, str]:
    if isinstance(value, dict):
        return value.get("bytes"), str(value.get("path") or "")
    return value, ""


def _place(data: bytes | None, label: str) -> Place:
    if data is not None:
        return Content(data)
    # Whoever wrote the file could make this process read any path.
    why = "a path and no bytes, which is not followed" if label else "no bytes"
    return Fault(Status.NOT_FOUND, f"the row has {why}")
