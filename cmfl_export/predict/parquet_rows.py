"""Reads the rows of a Parquet file of `cmfl predict`, and the set-up that they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from ..base.errors import need
from ..runtime import KINDS, Prediction, groups_of
from .rows import row_of

PARQUET_KEY = "cmfl"  # of the set-up, in the file's metadata
_MOST_BYTES = 1 << 16
_AT_ONCE = 1024


def parquet_setup(stream: BinaryIO) -> dict[str, Any] | None:
    """Returns the set-up in a file's metadata; None if it is no Parquet file of `cmfl predict`.

    Raises:
        OSError: the file cannot be read.
        PackageError: pyarrow is missing.
    """
    pa, pq = _arrow()
    try:
        metadata = pq.ParquetFile(stream).metadata.metadata or {}
        setup = json.loads(metadata[PARQUET_KEY.encode()][:_MOST_BYTES])
    except (pa.ArrowException, KeyError, ValueError, RecursionError):
        return None
    return setup if isinstance(setup, dict) else None


def parquet_rows(stream: BinaryIO) -> Iterator[Prediction]:
    """Yields the rows of a file that `open_writer` wrote, equal to those that were written.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or no file of `cmfl predict`.
        PackageError: pyarrow is missing.
    """
    pa, pq = _arrow()
    try:
        file = pq.ParquetFile(stream)
        columns = [name for name in file.schema_arrow.names if name != "path_bytes"]
        if groups_of(columns) is None:
            raise ValueError("no file of cmfl predict: it has other columns")
        for batch in file.iter_batches(_AT_ONCE, columns=[*columns, "path_bytes"]):
            values = {name: batch.column(name).to_pylist() for name in (*columns, "path_bytes")}
            values["path"] = list(map(os.fsdecode, values.pop("path_bytes")))
            for name in columns:
                if KINDS[name] in ("score", "number"):
                    values[name] = list(map(_shortest, values[name]))
            for record in zip(*(values[name] for name in columns), strict=True):
                yield row_of(dict(zip(columns, record, strict=True)))
    except (pa.ArrowException, KeyError, TypeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Arrow has errors without a number, of OSError's kind, for damaged pages.
        raise ValueError(f"no file of cmfl predict, or damaged ({type(error).__name__})") from error


def _shortest(value: float | None) -> float | None:
    """Returns the float64 with the shortest digits of a float32, as rows have them."""
    return None if value is None else float(str(np.float32(value)))


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise need("parquet", "reading parquet") from error
    return pa, pq
