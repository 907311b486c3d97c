"""Lists the inputs of a large job once, in order, and divides them into shards (`cmfl plan`)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..base.errors import InputError, UsageError, need
from ..base.files import scratch_folder
from ..base.text import counted
from ..base.versions import own_version
from ..images import iter_paths, refuse_inputs, scheme_of
from .entries import Entry, entry_of
from .manifest import KEY, ROWS_IN_GROUP, first_row
from .places import deliver


@dataclass(frozen=True)
class Plan:
    """What a plan has: `bytes` counts the inputs whose size is known."""

    path: str
    entries: int
    shards: int
    bytes: int

    def lines(self) -> list[str]:
        """The plan as text."""
        largest = -(-self.entries // self.shards)
        return [
            f"{counted(self.entries, 'input')}, {self.bytes / 1e9:.2f} GB, in "
            f"{counted(self.shards, 'shard')} (0-{self.shards - 1}) of at most {largest}: {self.path}"
        ]


def plan(
    inputs: Sequence[str],
    output: str,
    *,
    shards: int | None = None,
    shard_size: int | None = None,
    recursive: bool = True,
    null_separated: bool = False,
    column: str | None = None,
    whole_archives: bool = False,
) -> Plan:
    """Writes a manifest of the inputs, which appears whole or not at all.

    The same inputs give the same file. A list of any length takes the same memory.

    Args:
        inputs, recursive, null_separated, column, whole_archives: see `cmfl_export.images.iter_paths`. An
            archive as a whole is one input of its shard, and only the worker of that shard reads it.
        output: the manifest, .parquet; a file or an address.
        shards: how many shards to make; of fewer inputs one each.
        shard_size: in place of `shards`, the largest number of inputs in one.

    Raises:
        UsageError: an option or the output cannot be used.
        InputError: there is no input, a store cannot be listed to its end, or an address holds a secret.
        PackageError: pyarrow, or a package for a store, is missing.
    """
    if (shards is None) == (shard_size is None):
        raise UsageError("give --shards or --shard-size, one of them")
    if (shards or shard_size or 0) < 1:
        raise UsageError("a plan needs at least 1 shard of at least 1 input")
    if not output.lower().endswith(".parquet"):
        raise UsageError(f"the manifest is written to .parquet, not to {output}; give it that ending")
    if not scheme_of(output):
        refuse_inputs([Path(output)], inputs)
    paths = iter_paths(
        inputs,
        recursive=recursive,
        null_separated=null_separated,
        column=column,
        whole_archives=whole_archives,
    )
    with scratch_folder() as scratch:
        # How many there are is known only at the end, and the shards depend on it.
        listed = _Listing(scratch / "listed.parquet", map(entry_of, paths))
        if not listed.entries:
            raise InputError("no images found in the inputs; there is nothing to plan")
        number = -(-listed.entries // shard_size) if shard_size else min(shards or 1, listed.entries)
        about = {
            "digest": hashlib.sha256(f"{listed.digest} {number} {column}".encode()).hexdigest(),
            "entries": listed.entries,
            "shards": number,
            "relative": listed.relative,
            "column": column,
            "version": own_version(),
            "inputs": [os.fsencode(text).decode("utf-8", "backslashreplace") for text in inputs],
        }
        _divide(listed, number, about, scratch / "manifest.parquet")
        deliver(scratch / "manifest.parquet", output)
    return Plan(output, listed.entries, number, listed.bytes)


class _Listing:
    """The inputs in a file of their own, with what the plan says about all of them."""

    def __init__(self, path: Path, entries: Iterable[Entry]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise need("parquet", "a manifest") from error
        self.path = path
        self.entries = self.bytes = 0
        self.relative = False
        types = [pa.string(), pa.binary(), pa.int64(), pa.string(), pa.string()]
        self.schema = pa.schema(list(zip(Entry.COLUMNS, types, strict=True)))
        digest = hashlib.sha256()
        with pq.ParquetWriter(path, self.schema) as writer:
            for chunk in _chunks(entries, ROWS_IN_GROUP):
                for entry in chunk:
                    digest.update(entry.raw)
                    digest.update(b"\0%d %s\n" % (-1 if entry.size is None else entry.size, entry.why))
                    self.bytes += entry.size or 0
                    self.relative = self.relative or entry.relative
                self.entries += len(chunk)
                columns = [list(column) for column in zip(*(entry.values() for entry in chunk), strict=True)]
                writer.write_table(pa.table(columns, schema=self.schema), row_group_size=ROWS_IN_GROUP)
        self.digest = digest.hexdigest()


def _divide(listed: _Listing, shards: int, about: dict[str, Any], out: Path) -> None:
    """Writes the listing again with a column for the shard."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = listed.schema.append(pa.field("shard", pa.int32()))
    starts = np.array([first_row(shard, listed.entries, shards) for shard in range(shards)])
    at = 0
    with pq.ParquetFile(listed.path) as file, pq.ParquetWriter(out, schema) as writer:
        for batch in file.iter_batches(ROWS_IN_GROUP):
            numbers = np.searchsorted(starts, np.arange(at, at + batch.num_rows), side="right") - 1
            columns = [*batch.columns, pa.array(numbers, pa.int32())]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROWS_IN_GROUP)
            at += batch.num_rows
        writer.add_key_value_metadata({KEY: json.dumps(about)})


def _chunks(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, size)):
        yield chunk
