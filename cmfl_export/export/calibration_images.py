"""Chooses the images that a reduced precision is calibrated on, and others that it is judged on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from protocols import Sample, balance, read_split
from protocols.name_advice import NameAdvice
from protocols.reading import split_file

from ..base.errors import InputError
from ..images import ImageError, Pixels, decode, iter_paths

MOST_CALIBRATION, MOST_HELD_OUT = 256, 400
LEAST = 16  # images for either purpose


class _File(NamedTuple):
    path: Path
    is_real: bool | None
    root: Path | None = None  # the data root of a protocol's file


_Groups = dict[str, list[_File]]


@dataclass(frozen=True)
class Images:
    """Decoded images, uint8 [n, 224, 224, 3], and whether each is real; None where that is unknown."""

    pixels: Pixels
    is_real: tuple[bool, ...] | None


@dataclass(frozen=True)
class CalibrationImages:
    """Two disjoint sets of images; `source` describes where they come from."""

    calibration: Images
    held_out: Images
    source: str


def read(place: Path, data_root: Path | None, *, aligned: bool, seed: int = 0) -> CalibrationImages:
    """Returns decoded images for calibration, and other images that are held out.

    Args:
        place: a protocol if `data_root` is given. The train split of a protocol folder calibrates and the dev
            split is held out; a single CSV is split in half. Both classes are equally frequent.
            Without `data_root`, a folder of images. It is split in half, and each subfolder is represented in
            proportion to its size.
        data_root: the folder that the protocol's file names are relative to.
        aligned: whether the model takes aligned faces.
        seed: of the choice.

    Raises:
        InputError: `place` or `data_root` is not a folder, or fewer than 16 images can be decoded for either
            purpose.
        ProtocolError: the protocol cannot be used.
    """
    first, second = _of_folder(place, seed) if data_root is None else _of_protocol(place, data_root, seed)
    words = f"{place.name}, seed {seed}"
    return CalibrationImages(
        _decode(first, MOST_CALIBRATION, aligned, f"calibrate on in {place}"),
        _decode(second, MOST_HELD_OUT, aligned, f"judge on in {place}"),
        f"folder {words}" if data_root is None else f"protocol {words}",
    )


def _of_protocol(place: Path, data_root: Path, seed: int) -> tuple[list[_File], list[_File]]:
    if not data_root.is_dir():
        raise InputError(
            f"the data root {data_root} is not a folder; give the folder that the protocol's file names are "
            "relative to"
        )

    def groups(rows: Sequence[Sample]) -> _Groups:
        files = (_File(data_root / row.filename, row.is_real, data_root) for row in balance(rows, seed))
        return _grouped(files, lambda file: str(file.is_real), seed)

    if not place.is_dir():
        return _halves(groups(read_split(place)))
    first, second = (_interleaved(groups(read_split(split_file(place, name)))) for name in ("train", "dev"))
    return first, second


def _of_folder(place: Path, seed: int) -> tuple[list[_File], list[_File]]:
    if not place.is_dir():
        raise InputError(f"{place} is not a folder of images; for a protocol, give --data-root too")
    files = (_File(Path(path), None) for path in iter_paths([str(place)]))
    return _halves(_grouped(files, lambda file: str(file.path.parent), seed))


def _grouped(files: Iterable[_File], group: Callable[[_File], str], seed: int) -> _Groups:
    groups: _Groups = defaultdict(list)
    for file in files:
        groups[group(file)].append(file)
    for name in groups:
        groups[name].sort()
        Random(f"{seed}:{name}").shuffle(groups[name])
    return groups


def _halves(groups: _Groups) -> tuple[list[_File], list[_File]]:
    first, second = ({name: files[start::2] for name, files in groups.items()} for start in (0, 1))
    return _interleaved(first), _interleaved(second)


def _interleaved(groups: _Groups) -> list[_File]:
    """Mixes the groups evenly, so that every beginning of the list has them in proportion."""
    placed = [
        ((index + 0.5) / len(files), name, file)
        for name, files in groups.items()
        for index, file in enumerate(files)
    ]
    return [file for _, _, file in sorted(placed, key=lambda item: item[:2])]


def _decode(files: Sequence[_File], most: int, aligned: bool, purpose: str) -> Images:
    pixels: list[Pixels] = []
    labels: list[bool | None] = []
    why = ""
    for file in files:
        if len(pixels) == most:
            break
        try:
            pixels.append(decode(file.path, aligned=aligned))
        except ImageError as error:
            why = why or f" ({_name(file)!r}: {error.message}{_advice(file)})"
            continue
        labels.append(file.is_real)
    if len(pixels) < LEAST:
        raise InputError(f"only {len(pixels)} readable images to {purpose}; at least {LEAST} are needed{why}")
    known = [label for label in labels if label is not None]
    both = len(known) == len(labels) and len(set(known)) == 2
    return Images(np.stack(pixels), tuple(known) if both else None)


def _name(file: _File) -> str:
    return str(file.path if file.root is None else file.path.relative_to(file.root))


def _advice(file: _File) -> str:
    return "" if file.root is None else NameAdvice(file.root).of(_name(file))
