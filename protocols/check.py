"""Checks a protocol: files, duplicates, subjects, balance, and the shortcut audit (`cmfl protocol check`)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np

from cmfl_export.base.errors import UsageError
from cmfl_export.base.files import check_ending, refuse_overwriting, write_whole
from cmfl_export.base.locks import one_writer
from cmfl_export.base.progress import bar

from .check_report import CheckReport
from .duplicates import Pair, find_pairs, groups
from .findings import Duplicate, Overlap, Problem, SplitCounts, Use
from .inspection import Broken, Sound, inspect_all
from .name_advice import NameAdvice
from .reading import read_split
from .schema import Sample
from .separability import require_sklearn
from .shortcuts import SMALLEST_CLASS, Audited, audit

LIMIT = 2000

_SPLITS = ("train", "dev", "eval")


@one_writer("out")
def check(
    protocol: str | os.PathLike[str],
    data_root: str | os.PathLike[str],
    *,
    shortcuts: bool = True,
    strict: bool = True,
    limit: int = LIMIT,
    aligned: bool = True,
    workers: int | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> CheckReport:
    """Decodes every file of a protocol once, and reports what would make its results worthless.

    Args:
        protocol: a folder with train.csv, dev.csv, eval.csv (those that exist), or one CSV file.
        data_root: the folder that the file names are relative to.
        shortcuts: whether to run the shortcut audit, which needs scikit-learn.
        strict: whether suspicious properties (see `Level`) fail the check too. Turn it off if both classes
            are known to have had the same processing: a generator's own spectrum can be that clear.
        limit: largest number of audited images, for the real class and each attack type of each split; drawn
            by `seed`. Duplicates are searched among all images.
        aligned: whether the network takes the images as aligned faces, as in training.
        workers: threads that decode; by default one per processor.
        seed: decides the audit's sample and folds.
        out: JSON file for the report.
        progress: whether to show a progress bar on standard error; None shows it on a terminal.

    Raises:
        ProtocolError: a CSV file is not a protocol.
        UsageError: the data root is not a folder, an option cannot be used, or `out` cannot be written.
        PackageError: scikit-learn is missing.

    A broken image or a leak is a finding, not an error.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise UsageError(
            f"the data root {root} is not a folder; give the folder that the file names are relative to"
        )
    for name, value, least in (("seed", seed, 0), ("workers", workers, 1)):
        if value is not None and value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if shortcuts:
        require_sklearn()
        if limit < SMALLEST_CLASS:
            raise UsageError(
                f"a limit of {limit} is too low; the audit needs {SMALLEST_CLASS} images per class"
            )
    splits = _read(Path(protocol))
    uses = [Use(name, sample) for name, samples in splits.items() for sample in samples]
    sampled = _sample(uses, limit, seed) if shortcuts else set()
    found = []
    paths = [root / use.sample.filename for use in uses]
    out = None if out is None else Path(out)
    csvs = [Path(protocol), *(Path(protocol) / f"{name}.csv" for name in _SPLITS)]
    refuse_overwriting(
        [out],
        chain((("a file of the protocol", path) for path in csvs), (("an image", path) for path in paths)),
    )
    check_ending(out, (".json",), "the report")
    audited = [number in sampled for number in range(len(uses))]
    with bar(lambda: len(uses), shown=progress) as advance:
        for inspected in inspect_all(paths, audited, aligned=aligned, workers=workers):
            found.append(inspected)
            advance(0)
    advice = NameAdvice(root)
    sound = [(use, one) for use, one in zip(uses, found, strict=True) if isinstance(one, Sound)]
    report = CheckReport(
        protocol=str(protocol),
        data_root=str(data_root),
        splits=tuple(_counts(name, samples) for name, samples in splits.items()),
        problems=tuple(
            Problem(use.split, use.sample.filename, one.reason + advice.of(use.sample.filename))
            for use, one in zip(uses, found, strict=True)
            if isinstance(one, Broken)
        ),
        overlaps=_overlaps(splits),
        duplicates=_duplicates(sound),
        shortcuts=tuple(
            audit(
                [
                    Audited(use.split, use.sample.subject, use.sample.attack_type, *one.audited)
                    for use, one in sound
                    if one.audited is not None
                ],
                seed=seed,
            )
        ),
        audited=sum(one.audited is not None for _, one in sound),
        strict=strict,
    )
    if out is not None:
        write_whole(out, (json.dumps(report.as_dict(), indent=2, allow_nan=False) + "\n").encode())
    return report


def _read(protocol: Path) -> dict[str, list[Sample]]:
    """Returns the splits by name. A missing class is a finding, not an error."""
    if not protocol.is_dir():
        return {protocol.stem: read_split(protocol, allow_one_class=True)}
    paths = {name: protocol / f"{name}.csv" for name in _SPLITS}
    splits = {name: read_split(path, allow_one_class=True) for name, path in paths.items() if path.exists()}
    if not splits:
        raise UsageError(f"{protocol} has none of train.csv, dev.csv and eval.csv; give a protocol's folder")
    return splits


def _counts(split: str, samples: Sequence[Sample]) -> SplitCounts:
    attacks = Counter(sample.attack_type for sample in samples)
    real = attacks.pop("", 0)
    return SplitCounts(split, real, dict(sorted(attacks.items())))


def _sample(uses: Sequence[Use], limit: int, seed: int) -> set[int]:
    """Returns the numbers of the audited images. An added attack type does not change the other draws."""
    strata: dict[tuple[str, str], list[int]] = {}
    for number, use in enumerate(uses):
        strata.setdefault((use.split, use.sample.attack_type), []).append(number)
    chosen: set[int] = set()
    for (split, attack), members in strata.items():
        draw = Random(f"{seed}/{split}/{attack}")
        chosen.update(draw.sample(members, min(limit, len(members))))
    return chosen


def _overlaps(splits: Mapping[str, Sequence[Sample]]) -> tuple[Overlap, ...]:
    seen: dict[str, dict[str, None]] = {}
    for name, samples in splits.items():
        for sample in samples:
            seen.setdefault(sample.subject, {})[name] = None
    return tuple(Overlap(subject, tuple(names)) for subject, names in seen.items() if len(names) > 1)


def _duplicates(sound: Sequence[tuple[Use, Sound]]) -> tuple[Duplicate, ...]:
    """Returns the groups of pictures that are the same, leaks first."""
    if not sound:
        return ()
    digests = [one.digest for _, one in sound]
    pairs = find_pairs(digests, np.stack([one.thumbnail for _, one in sound]))
    of_member: dict[int, list[Pair]] = {}
    for pair in pairs:
        of_member.setdefault(pair.first, []).append(pair)
    found = []
    for members in groups(len(sound), pairs):
        links = [pair for member in members for pair in of_member.get(member, ())]
        found.append(
            Duplicate(
                uses=tuple(sound[member][0] for member in members),
                identical=len({digests[member] for member in members}) == 1,
                mirrored=any(pair.mirrored for pair in links),
                correlation=min(pair.correlation for pair in links),
            )
        )
    return tuple(sorted(found, key=lambda group: (not group.across_splits, not group.across_classes)))
