"""The images that a reduced precision is calibrated on, and others that it is judged on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from protocols import balance, read_split

from .errors import CmflError
from .images import ImageError, Pixels, decode
from .scoring import split_file
from .sources import iter_paths

MOST_CALIBRATION, MOST_HELD_OUT = 256, 400
LEAST = 16  # of each


class _File(NamedTuple):
    path: Path
    is_real: bool | None


@dataclass(frozen=True)
class Images:
    """Decoded images, uint8 [n, 224, 224, 3], and whether each is real where that is known."""

    pixels: Pixels
    is_real: tuple[bool, ...] | None


@dataclass(frozen=True)
class CalibrationImages:
    """Two disjoint sets; `source` says in words where they come from."""

    calibration: Images
    held_out: Images
    source: str


def read(place: Path, data_root: Path | None, *, aligned: bool, seed: int = 0) -> CalibrationImages:
    """Chooses and decodes the images.

    Args:
        place: with `data_root`, a protocol: of a folder the train split calibrates and the dev split is held
            out; a single CSV is halved; both classes are equally frequent. Without, a folder of images,
            halved, each of its folders represented in proportion to its size.
        data_root: what the protocol's file names are relative to.
        aligned: the model's geometry.
        seed: decides the choice.

    Raises:
        CmflError: not a protocol, not a folder, or fewer than 16 images for either purpose that can be
            decoded.
    """
    first, second = _of_folder(place, seed) if data_root is None else _of_protocol(place, data_root, seed)
    words = f"{place.name}, seed {seed}"
    return CalibrationImages(
        _decode(first, MOST_CALIBRATION, aligned, f"calibrate on in {place}"),
        _decode(second, MOST_HELD_OUT, aligned, f"judge on in {place}"),
        f"folder {words}" if data_root is None else f"protocol {words}",
    )


def _of_protocol(place: Path, data_root: Path, seed: int) -> tuple[list[_File], list[_File]]:
    if place.is_dir():
        splits = [balance(read_split(split_file(place, name)), seed) for name in ("train", "dev")]
    else:
        rows = balance(read_split(place), seed)
        # Halved class by class, so that both halves are balanced.
        classes = [[row for row in rows if row.is_real is real] for real in (True, False)]
        splits = [[row for part in classes for row in part[start::2]] for start in (0, 1)]
    first, second = ([_File(data_root / row.filename, row.is_real) for row in rows] for rows in splits)
    return _mixed(first, seed), _mixed(second, seed)


def _of_folder(place: Path, seed: int) -> tuple[list[_File], list[_File]]:
    if not place.is_dir():
        raise CmflError(f"{place} is not a folder of images; for a protocol give --data-root as well")
    files = _mixed([_File(Path(path), None) for path in iter_paths([str(place)])], seed)
    return files[0::2], files[1::2]


def _mixed(files: Sequence[_File], seed: int) -> list[_File]:
    """Shuffled within each class or folder, and these dealt out evenly: any beginning is in proportion."""
    groups: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        groups[str(file.path.parent) if file.is_real is None else str(file.is_real)].append(file)
    placed = []
    for name in sorted(groups):
        group = sorted(groups[name])
        Random(f"{seed}:{name}").shuffle(group)
        placed += [((index + 0.5) / len(group), name, file) for index, file in enumerate(group)]
    return [file for _, _, file in sorted(placed, key=lambda item: item[:2])]


def _decode(files: Sequence[_File], most: int, aligned: bool, purpose: str) -> Images:
    pixels: list[Pixels] = []
    labels: list[bool | None] = []
    for file in files:
        if len(pixels) == most:
            break
        try:
            pixels.append(decode(file.path, aligned=aligned))
        except ImageError:
            continue
        labels.append(file.is_real)
    if len(pixels) < LEAST:
        raise CmflError(f"{len(pixels)} images to {purpose} that can be read; at least {LEAST} are needed")
    known = [label for label in labels if label is not None]
    both = len(known) == len(labels) and len(set(known)) == 2
    return Images(np.stack(pixels), tuple(known) if both else None)
