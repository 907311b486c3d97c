"""Makes one file of the parts of a job, after checking that they are all there and belong together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base import setups
from ..base.errors import InputError
from ..base.text import counted
from ..base.versions import own_version
from ..predict import Summary, format_of, open_writer, parquet_rows, parquet_setup
from ..runtime import Prediction
from .entries import is_whole_archive
from .manifest import Manifest
from .parts import AnotherSetupError, name_of, shard_of
from .places import inside, names_in, opened
from .shard_numbers import as_text

_AT_ONCE = 16  # footers; of parts in a store each is a request
_OF_THE_JOB = ("manifest", "shards", "shard", "cmfl-export")


@dataclass
class Gathered:
    """What was gathered: `rows` counts as `cmfl predict` does; `silent` are shards without any score."""

    rows: Summary
    output: str
    shards: int
    seconds: float = 0.0
    silent: list[int] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The result as text."""
        lines = [
            self.rows.lines()[0],
            f"{counted(self.shards, 'part')} in {self.output}, {self.seconds:.1f} s",
        ]
        if self.silent:
            lines.append(
                f"no input of shards {as_text(self.silent)} has a score; if their worker did not see "
                "the images, remove these parts and score the shards again"
            )
        return lines


def gather(folder: str, output: str, format: str | None = None, *, manifest: str | None = None) -> Gathered:
    """Writes the rows of all parts into one file: those of `predict` on all inputs, in their order.

    The output is not touched before all parts are found to be there and to belong together.

    Args:
        folder: of the parts; a folder or an address.
        output: a file or an address.
        format: csv, jsonl, json or parquet; None takes it from the ending.
        manifest: also checks that the parts are of this manifest and have a row for each of its inputs.

    Raises:
        InputError: parts are missing or damaged; or a part lacks inputs.
        UsageError: parts come from different models, options or manifests; the output cannot be written.
        PackageError: a package is missing.
    """
    format = format_of(Path(output), format)
    job = None if manifest is None else Manifest.read(manifest)
    setup = _common_setup(folder, job)
    start = time.perf_counter()
    gathered = Gathered(Summary(""), output, setup["shards"])
    # Rows of another version are not described as this version's.
    described = {name: value for name, value in setup.items() if name not in _OF_THE_JOB}
    with open_writer(
        output,
        format,
        groups=str(setup.get("columns", "")).split(),
        setup=described if setup["cmfl-export"] == own_version() else None,
    ) as writer:
        for shard in range(gathered.shards):
            for rows in _rows_of(folder, shard, job, gathered):
                writer.write(rows)
                for row in rows:
                    gathered.rows.count(row)
    gathered.seconds = time.perf_counter() - start
    return gathered


def _common_setup(folder: str, job: Manifest | None) -> Mapping[str, Any]:
    """Returns the set-up of the first part, which all share but for their number.

    Raises:
        InputError: a part is missing or damaged, or there is none.
        UsageError: the parts do not belong together.
    """
    found = {shard: name for name in names_in(folder) if (shard := shard_of(name)) is not None}
    if not found:
        raise InputError(
            f"there are no parts in {folder}; write them with cmfl predict MODEL --manifest M -o"
        )
    shards = sorted(found)
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        read = list(readers.map(lambda shard: _setup_of(inside(folder, found[shard]), shard), shards))
    first = read[0]
    for shard, other in zip(shards, read, strict=True):
        changed = setups.differences(first | {"shard": shard}, other)
        if changed:
            raise AnotherSetupError(
                f"{inside(folder, found[shard])} and {found[shards[0]]} do not belong together: "
                f"{'; '.join(changed)}; remove the wrong ones and score their shards again"
            )
    if job is not None and first["manifest"] != job.digest:
        raise AnotherSetupError(f"the parts in {folder} are of another manifest than {job.path}")
    missing = sorted(set(range(first["shards"])) - set(shards))
    if missing:
        text = as_text(missing)
        raise InputError(
            f"{len(missing)} of {counted(first['shards'], 'part')} missing in {folder}: shards {text}"
            + ("" if " " in text else f"; score them with --shard {text}")
        )
    return first


def _setup_of(place: str, shard: int) -> dict[str, Any]:
    with opened(place, "the part") as stream:
        setup = parquet_setup(stream)
    if setup is None or not isinstance(setup.get("shards"), int) or setup.get("shard") != shard:
        raise _damaged(place, shard)
    return setup


def _rows_of(folder: str, shard: int, job: Manifest | None, gathered: Gathered) -> Iterator[list[Prediction]]:
    """Yields the rows of a part in lists, and notes it if none has a score."""
    place = inside(folder, name_of(shard))
    inputs = None if job is None else _Inputs(job.paths(shard))
    scored, waiting = False, list[Prediction]()
    with opened(place, "the part") as stream:
        try:
            for row in parquet_rows(stream):
                if inputs is not None and not row.face and not inputs.take(row.path):
                    raise _incomplete(place, shard)
                scored = scored or row.ok
                waiting.append(row)
                if len(waiting) == 1024:
                    yield waiting
                    waiting = []
        except ValueError:
            raise _damaged(place, shard) from None
    if inputs is not None and not inputs.ended():
        raise _incomplete(place, shard)
    if not scored:
        gathered.silent.append(shard)
    yield waiting


class _Inputs:
    """The inputs of a shard, which its rows take in order; a whole archive has any number of rows."""

    def __init__(self, paths: Iterator[str]) -> None:
        self._paths = paths
        self._archive: str | None = None

    def take(self, path: str) -> bool:
        """Whether a row of this path comes next."""
        if self._archive is not None and self._has(self._archive, path):
            return True
        for expected in self._paths:
            if is_whole_archive(expected):
                self._archive = expected
                if self._has(expected, path):
                    return True
            else:
                self._archive = None
                return path == expected
        return False

    def ended(self) -> bool:
        """Whether no input lacks its rows."""
        return all(map(is_whole_archive, self._paths))

    @staticmethod
    def _has(archive: str, path: str) -> bool:
        return path == archive or path.startswith(f"{archive}::")


def _damaged(place: str, shard: int) -> InputError:
    return InputError(f"{place} is damaged or no part; remove it, and score it again with --shard {shard}")


def _incomplete(place: str, shard: int) -> InputError:
    return InputError(
        f"{place} has other inputs than the manifest; remove it, and score it again with --shard {shard}"
    )
