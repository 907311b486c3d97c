"""`cmfl simulate`: training data for people who have photographs and no generator.

A folder of photographs becomes a data root: the photographs brought to the model's size, a synthetic twin of
each (see `upsampling`), and a protocol over both. The two classes go through the same decoder, geometry and
encoder, so that nothing but the up-sampling tells them apart; a photograph and its twin share a split.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from cmfl_export.base.errors import InputError, UsageError
from cmfl_export.base.files import write_whole, writing
from cmfl_export.base.locks import one_writer
from cmfl_export.base.threads import in_order
from cmfl_export.base.versions import own_version
from cmfl_export.images import ImageError, decode, iter_paths
from protocols import Sample, write_split

from .upsampling import Pixels, simulate

ATTACK_TYPE = "simulated"
HELD_OUT = 0.15  # of the subjects for dev, and as much again for eval

STRONGEST = 1000.0  # beyond it nothing is left of a photograph


Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SimulateSummary:
    """What `simulate_folder` wrote.

    `written` counts photographs, each with its twin; `failed` lists the others as (path, reason); `splits`
    counts the rows of each protocol file; `protocol` is what to train on; `out_dir` is its data root.
    """

    written: int
    failed: list[tuple[str, str]]
    splits: dict[str, int]
    protocol: Path

    def lines(self) -> list[str]:
        """The outcome as text."""
        rows = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        return [
            f"{self.written} photographs, each with a synthetic twin; protocol: {rows}",
            *(f"left out: {path}: {why}" for path, why in self.failed),
            f"train on it: cmfl train --protocol {self.protocol} --data-root {self.protocol.parent} -o RUN",
        ]


@dataclass(frozen=True)
class _Pair:
    subject: str
    real: bytes
    synthetic: bytes


@one_writer("out_dir", folder=True)
def simulate_folder(
    real_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    seed: int = 0,
    strength: float = 1.0,
    quality: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> SimulateSummary:
    """Writes `real/`, `synthetic/`, `protocol/{train,dev,eval}.csv` and `simulate.json` into `out_dir`.

    Args:
        real_dir: photographs, at any depth; the structure is kept. Fitted to 224 x 224 as aligned faces are.
        out_dir: a folder that does not exist or is empty.
        seed: with a file's relative name it decides the twin; not the split, which the name alone decides.
        strength: of the traces, above 0; at 1 the eye sees no difference.
        quality: None writes PNG, 1 to 100 JPEG of that quality, for both classes. JPEG hides some traces.
        workers: decoding threads; None takes as many as this process has cores.
        progress: called with (photographs done, photographs in all).

    A file that cannot be decoded is listed in the summary and in simulate.json, and the others go on. Every
    file appears whole or not at all; simulate.json comes last.

    Raises:
        CmflError: `real_dir` is no folder or has no image; `out_dir` is not empty or cannot be written;
            `strength` or `quality` is out of range; fewer than three photographs can be decoded.
    """
    real_dir, out_dir = Path(real_dir), Path(out_dir)
    _check(real_dir, out_dir, strength, quality)
    # The trailing separator says that the folder is to be walked whatever its name.
    paths = list(iter_paths([f"{real_dir}{os.sep}"]))
    if not paths:
        raise InputError(f"{real_dir}: no image in it")

    suffix = ".png" if quality is None else ".jpg"
    failed: list[tuple[str, str]] = []
    subjects: dict[str, str] = {}  # by the name that a file system may not tell apart
    made = in_order(
        lambda path: _make_pair(path, real_dir, seed, strength, quality), paths, workers, name="simulate"
    )
    for done, (path, pair) in enumerate(zip(paths, made, strict=True), 1):
        if isinstance(pair, str):
            failed.append((path, pair))
        elif pair.subject.casefold() in subjects:
            failed.append((path, f"another file of the name {pair.subject!r} was taken"))
        else:
            subjects[pair.subject.casefold()] = pair.subject
            write_whole(out_dir / "real" / (pair.subject + suffix), pair.real)
            write_whole(out_dir / "synthetic" / (pair.subject + suffix), pair.synthetic)
        if progress:
            progress(done, len(paths))

    splits = _split(list(subjects.values()), real_dir)
    protocol = out_dir / "protocol"
    with writing(protocol):
        protocol.mkdir(exist_ok=True)
    for name, members in splits.items():
        write_split(_rows(members, suffix), protocol / f"{name}.csv")
    summary = SimulateSummary(
        len(subjects), failed, {name: 2 * len(members) for name, members in splits.items()}, protocol
    )
    _write_record(summary, out_dir, seed, strength, quality)
    return summary


def name_rng(seed: int, name: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on one relative name (with `/`), and on nothing else."""
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest))


def encode(pixels: Pixels, quality: int | None) -> bytes:
    """uint8 [H, W, 3] as the bytes of a PNG (None) or of a JPEG of that quality."""
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(pixels).save(buffer, "PNG")
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _check(real_dir: Path, out_dir: Path, strength: float, quality: int | None) -> None:
    if not real_dir.is_dir():
        raise UsageError(f"{real_dir} is not a folder; give the folder with the photographs")
    if out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        raise UsageError(
            f"{out_dir} is not an empty folder; give a new one, so that no older picture stays in the data"
        )
    if not 0 < strength <= STRONGEST:
        raise UsageError(f"the strength is {strength}; it must be greater than 0 and at most {STRONGEST:g}")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"a JPEG quality is 1 to 100, not {quality}")


def _make_pair(path: str, real_dir: Path, seed: int, strength: float, quality: int | None) -> _Pair | str:
    """The two encoded pictures, or why there are none."""
    name = PurePath(os.path.relpath(path, real_dir))
    subject = name.with_suffix("").as_posix()
    try:
        subject.encode()
    except UnicodeEncodeError:
        return "the name is not valid Unicode, so no protocol can list it"
    try:
        real = decode(path)
    except ImageError as error:
        return error.message
    synthetic = simulate(real, name_rng(seed, name.as_posix()), strength=strength)
    return _Pair(subject, encode(real, quality), encode(synthetic, quality))


def _split(subjects: list[str], real_dir: Path) -> dict[str, list[str]]:
    """Train, dev and eval, each in the order of the names.

    A hash of the name ranks them, so no split is empty, and a photograph added later moves few of the others.
    """
    if len(subjects) < 3:
        raise UsageError(f"{real_dir}: {len(subjects)} usable photographs; three splits need at least 3")
    ranked = sorted(subjects, key=lambda subject: hashlib.sha256(subject.encode()).digest())
    held_out = max(1, round(HELD_OUT * len(subjects)))
    return {
        "train": sorted(ranked[2 * held_out :]),
        "dev": sorted(ranked[:held_out]),
        "eval": sorted(ranked[held_out : 2 * held_out]),
    }


def _rows(subjects: list[str], suffix: str) -> list[Sample]:
    real = [Sample(subject.strip(), f"real/{subject}{suffix}", "") for subject in subjects]
    synthetic = [Sample(subject.strip(), f"synthetic/{subject}{suffix}", ATTACK_TYPE) for subject in subjects]
    return real + synthetic


def _write_record(
    summary: SimulateSummary, out_dir: Path, seed: int, strength: float, quality: int | None
) -> None:
    """What a user needs to defend the data, or to make it again."""
    record = {
        "method": "up-sampling simulator after Zhang, Karaman and Chang 2019 (arXiv 1907.06515)",
        "version": own_version(),
        "seed": seed,
        "strength": strength,
        "encoding": "PNG" if quality is None else f"JPEG, quality {quality}",
        "photographs": summary.written,
        "splits": summary.splits,
        "failed": [{"path": path, "reason": reason} for path, reason in summary.failed],
    }
    write_whole(out_dir / "simulate.json", json.dumps(record, indent=2).encode())
