"""Builds a protocol from a definition (`cmfl protocol build --definition NAME`)."""

from __future__ import annotations

import os
import posixpath
from fnmatch import fnmatchcase
from pathlib import Path

from cmfl_export.base.errors import ProtocolError
from cmfl_export.base.files import refuse_overwriting
from cmfl_export.base.locks import one_writer

from .built import FILES, Built, Missing, refuse_existing, refuse_one_class, write
from .definitions import Source, load
from .folders import PathLike, names_in, root_of
from .schema import Sample
from .splitting import SPLITS, by_place, in_order
from .subjects import subjects_of

_NAMED = 3  # missing files that are named

_Splits = dict[str, list[Sample]]


@one_writer("out", folder=True)
def build_definition(
    definition: PathLike,
    data_root: PathLike,
    out: PathLike,
    *,
    allow_missing: bool = False,
    force: bool = False,
) -> Built:
    """Builds the protocol of a definition from the folders in a data root.

    The split of a file depends only on its name and the definition's salt; missing files do not change it.

    Args:
        definition: a name of `definitions.names()`, or a TOML file (see definitions/stylegan2.toml).
        data_root, out, force: as for `build`.
        allow_missing: build from the existing files.

    Returns:
        The protocol. If files are missing and that is not allowed, nothing is written, `ok` is False and
        `lines` names missing files.

    Raises:
        ProtocolError: the definition is faulty, the data root is not a folder, a split lacks a class, or
            `out` already has a protocol.
        UsageError: `out` cannot be written.
    """
    root, out = root_of(data_root), Path(out)
    plan = load(definition)
    refuse_existing(out, force)
    refuse_overwriting([out / name for name in FILES], [("the definition", definition)])
    splits: _Splits = {split: [] for split in SPLITS}
    missing: list[Missing] = []
    for source in plan.sources:
        drawn, lack = _draw(root, source, plan.salt)
        missing += lack
        for split, names in drawn.items():
            splits[split] += [
                Sample(subject, name, source.attack) for name, subject in subjects_of(names).items()
            ]
    _refuse_shared(splits, plan.name)
    splits = {split: in_order(samples) for split, samples in splits.items()}

    built = Built(out, splits, missing=tuple(missing), written=allow_missing or not missing)
    if built.written:
        refuse_one_class(splits, "add the missing files, or write a definition without them")
        record = {
            "definition": plan.name,
            "salt": plan.salt,
            "missing": [str(lack).strip() for lack in missing],
        }
        write(built, record)
    return built


def _draw(root: Path, source: Source, salt: str) -> tuple[dict[str, list[str]], list[Missing]]:
    """Returns the existing files of a source by split, and what is missing, if anything.

    A missing numbered file keeps its place, so that no other file moves when it is added. Files known only by
    a pattern fill train first, then dev, then eval.
    """
    if source.numbers is None:
        names = names_in(root, source.folder) if (root / source.folder).is_dir() else []
        candidates = [name for name in names if fnmatchcase(posixpath.basename(name), source.file)]
        there = set(candidates)
    else:
        candidates = source.numbered_files()
        there = _files_in(root, source.folder)
    needed = sum(source.counts.values())
    wanted = by_place(candidates, salt)[:needed]
    splits: dict[str, list[str]] = {}
    start = 0
    for split, count in source.counts.items():
        splits[split] = [name for name in wanted[start : start + count] if name in there]
        start += count
    lacking = set(wanted) - there
    absent = [name for name in candidates if name in lacking]
    count = needed - len(wanted) + len(absent)
    first = tuple(name.removeprefix(f"{source.folder}/") for name in absent[:_NAMED])
    return splits, [Missing(source.folder, needed, count, first)] if count else []


def _files_in(root: Path, folder: str) -> set[str]:
    """Returns the files in a folder, relative to the root; none if the folder is missing."""
    try:
        with os.scandir(root / folder) as entries:
            return {posixpath.normpath(f"{folder}/{entry.name}") for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _refuse_shared(splits: _Splits, definition: str) -> None:
    """Refuses sources that overlap: they would list a file twice, or put a subject into two splits."""
    split_of_subject: dict[str, str] = {}
    listed: set[str] = set()
    for split, samples in splits.items():
        for sample in samples:
            first = split_of_subject.setdefault(sample.subject, split)
            if first != split or sample.filename in listed:
                raise ProtocolError(
                    f"the definition {definition} puts {sample.filename!r} into {first} and into {split}; "
                    "no two sources may share files or file names without their extensions"
                )
            listed.add(sample.filename)
