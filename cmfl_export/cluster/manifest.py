"""The manifest of a large job: a Parquet file with one row per input, in order, and the shard of each."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..base.errors import InputError, need
from .entries import text_of
from .places import opened

KEY = b"cmfl-manifest"
# A shard reads the groups that it lies in; the footer, which every worker reads, has about 1 kB per group.
ROWS_IN_GROUP = 16384
_READ_AT_ONCE = 4096
_READ = ("path", "path_bytes", "status", "error")


@dataclass(frozen=True)
class Manifest:
    """What a manifest says about itself.

    Attributes:
        path: the file or address.
        digest: SHA-256 of its rows and shards, which parts carry.
        entries, shards: how many inputs and shards there are.
        relative: whether an input is a path from the folder that `cmfl plan` ran in.
        column: of Parquet files among the inputs that are archives as a whole.
        version: of the package that made it.
        inputs: as they were given to `cmfl plan`.
    """

    path: str
    digest: str
    entries: int
    shards: int
    relative: bool
    column: str | None
    version: str
    inputs: tuple[str, ...]

    @classmethod
    def read(cls, path: str) -> Manifest:
        """Reads the footer of a manifest.

        Raises:
            InputError: it cannot be read, or `cmfl plan` did not make it.
            PackageError: pyarrow is missing.
        """
        with _parquet(path) as file:
            try:
                about = json.loads((file.metadata.metadata or {})[KEY])
                found = cls(
                    path,
                    str(about["digest"]),
                    int(about["entries"]),
                    int(about["shards"]),
                    bool(about["relative"]),
                    about["column"],
                    str(about["version"]),
                    tuple(map(str, about["inputs"])),
                )
            except (KeyError, ValueError, TypeError, RecursionError):
                raise _foreign(path) from None
            if file.metadata.num_rows != found.entries or not 1 <= found.shards <= found.entries:
                raise _foreign(path)
            return found

    def bounds(self, shard: int) -> tuple[int, int]:
        """Returns the first row of a shard and the row after its last."""
        return first_row(shard, self.entries, self.shards), first_row(shard + 1, self.entries, self.shards)

    def count(self, shard: int) -> int:
        """Returns the number of inputs of a shard."""
        start, stop = self.bounds(shard)
        return stop - start

    def paths(self, shard: int | None = None) -> Iterator[str]:
        """Yields the inputs of one shard, or of all, in order.

        An archive as a whole stands for its pictures (see `entries.pictures_of`). What the plan found to have
        no bytes knows why.

        Raises:
            InputError: the file cannot be read.
        """
        start, stop = (0, self.entries) if shard is None else self.bounds(shard)
        with _parquet(self.path) as file:
            groups = [
                file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)
            ]
            ends = list(accumulate(groups))
            group = bisect_right(ends, start)
            at = ends[group] - groups[group]
            chosen = list(range(group, bisect_right(ends, stop - 1) + 1))
            for batch in file.iter_batches(_READ_AT_ONCE, chosen, columns=list(_READ)):
                part = batch.slice(
                    max(0, start - at), max(0, min(stop, at + batch.num_rows) - max(start, at))
                )
                at += batch.num_rows
                yield from map(text_of, part.to_pylist())


def first_row(shard: int, entries: int, shards: int) -> int:
    """Returns the first row of a shard. Shards are contiguous, and their sizes differ by one at most."""
    return entries * shard // shards


@contextmanager
def _parquet(path: str) -> Iterator[Any]:
    """Opens a manifest, with its errors as InputError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise need("parquet", "a manifest") from error
    with opened(path, "the manifest") as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowException:
            raise _foreign(path) from None
        try:
            yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(f"{path} is damaged; write it again with cmfl plan") from None


def _foreign(path: str) -> InputError:
    return InputError(f"{path} is not a manifest of cmfl plan")
