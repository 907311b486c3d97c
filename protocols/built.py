"""The result of building a protocol, as text, and how it is written to disk."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmfl_export.base.errors import ProtocolError
from cmfl_export.base.files import write_whole, writing
from cmfl_export.base.toml import toml_table
from cmfl_export.base.versions import own_version

from .reading import write_split
from .schema import Sample
from .splitting import SPLITS

RECORD = "protocol.toml"
_FORMAT = 1  # version of the record
FILES = (*(f"{split}.csv" for split in SPLITS), RECORD)


@dataclass(frozen=True)
class LeftOut:
    """The number of images that were found and not used, and the reason."""

    count: int
    reason: str


@dataclass(frozen=True)
class Missing:
    """The missing files of a definition in one folder."""

    folder: str
    needed: int
    count: int
    first: tuple[str, ...]  # the first few names in the folder; empty if only a pattern is known

    def __str__(self) -> str:
        names = ", ".join(self.first) + (", …" if self.count > len(self.first) else "")
        return f"{self.count:>8,} of {self.needed:,} in {self.folder}" + (f": {names}" if self.first else "")


@dataclass(frozen=True)
class Built:
    """The protocol that `build` made."""

    out: Path
    splits: Mapping[str, Sequence[Sample]]
    left_out: tuple[LeftOut, ...] = ()
    missing: tuple[Missing, ...] = ()
    written: bool = True  # False if files are missing and that is not allowed

    @property
    def ok(self) -> bool:
        """Whether the protocol was written."""
        return self.written

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images by attack type (empty: real; it comes first) and split."""
        found = Counter((sample.attack_type, split) for split in SPLITS for sample in self.splits[split])
        attacks = sorted({attack for attack, _ in found})
        return {attack: {split: found[attack, split] for split in SPLITS} for attack in attacks}

    def lines(self) -> list[str]:
        """The result as text: images by attack type and split, what was left out, and the files."""
        rows = {attack or "real": list(of.values()) for attack, of in self.counts.items()}
        rows["all"] = [len(self.splits[split]) for split in SPLITS]
        subjects = [{sample.subject for sample in self.splits[split]} for split in SPLITS]
        rows["subjects"] = [len(of) for of in subjects]
        width = max(len(name) for name in (*rows, "attack type"))
        table = [f"{'attack type':<{width}} " + "".join(f"{name:>9}" for name in (*SPLITS, "all"))]
        table += [
            f"{name:<{width}} " + "".join(f"{count:>9,}" for count in (*counts, sum(counts)))
            for name, counts in rows.items()
        ]
        return [
            *table,
            *(f"left out {item.count:>8,} {item.reason}" for item in self.left_out),
            *(f"missing  {item}" for item in self.missing),
            self._verdict(),
        ]

    def _verdict(self) -> str:
        if self.written:
            return f"wrote {', '.join(FILES)} to {self.out}"
        count = sum(item.count for item in self.missing)
        return (
            f"NOTHING WRITTEN: {count:,} files are missing; add them, or build from the others with "
            "--allow-missing"
        )


def refuse_existing(out: Path, force: bool) -> None:
    """Refuses to replace a file, or without `force` a protocol.

    Raises:
        ProtocolError: `out` is a file, or already has a protocol and `force` is not set.
    """
    if out.exists() and not out.is_dir():
        raise ProtocolError(f"{out} is not a folder; give another one for the protocol")
    existing = [name for name in FILES if (out / name).exists()]
    if existing and not force:
        raise ProtocolError(
            f"{out} already has a protocol ({', '.join(existing)}); give another folder, "
            "or --force to replace it"
        )


def refuse_one_class(splits: Mapping[str, Sequence[Sample]], advice: str) -> None:
    """Refuses splits that lack a class.

    Raises:
        ProtocolError: names all splits without real or without synthetic images.
    """
    faults = []
    for split in SPLITS:
        real = sum(sample.is_real for sample in splits[split])
        synthetic = len(splits[split]) - real
        if not real or not synthetic:
            faults.append(f"{split} has {real:,} real and {synthetic:,} synthetic")
    if faults:
        raise ProtocolError(f"each split needs images of both classes, but {', '.join(faults)}; {advice}")


def write(built: Built, record: Mapping[str, Any]) -> None:
    """Writes the three splits and the record of how they were made: all of them or none.

    Args:
        built: the protocol; its files replace those in its folder.
        record: values and tables of values for protocol.toml; version and counts are added.

    Raises:
        UsageError: it cannot be written; earlier files are then kept.
    """
    out = built.out
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name[:60]}.")
    with scratch as folder:
        new, old = Path(folder) / "new", Path(folder) / "old"
        for split in SPLITS:
            write_split(built.splits[split], new / f"{split}.csv")
        write_whole(new / RECORD, _record(built, record).encode())
        with writing(out):
            if not out.exists():
                new.rename(out)
                return
            old.mkdir()
            _move_all(
                [(out / name, old / name) for name in FILES if (out / name).exists()]
                + [(new / name, out / name) for name in FILES]
            )


def _move_all(moves: Sequence[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            source.rename(target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.rename(source)
        raise


def _record(built: Built, record: Mapping[str, Any]) -> str:
    """Returns the text of protocol.toml: plain values first, as TOML requires, then the tables."""
    counts = {attack or "real": list(of.values()) for attack, of in built.counts.items()}
    whole = {
        "format": _FORMAT,
        "made_with": f"cmfl-export {own_version()}",
        **record,
        "splits": list(SPLITS),
        "counts": counts,
    }
    plain = {key: value for key, value in whole.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in whole.items() if isinstance(value, Mapping)}
    sections = [toml_table(plain), *(f"[{key}]\n{toml_table(table)}" for key, table in tables.items())]
    return "# How this protocol was made by `cmfl protocol build`.\n\n" + "\n".join(sections)
