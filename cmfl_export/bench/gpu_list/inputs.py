"""Draws what is measured on: images, others to judge fp16 on, and a protocol of them to train on."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer

from protocols import Sample, write_split
from training.config import TrainConfig

from ..pictures import draw
from .figures import Figures, Out, run

IMAGES, HELD_OUT, TRAINED, PROTOCOL = "images", "held-out", "trained", "protocol"
_HELD_OUT = 32  # fp16 needs 16 for its check; as many others would calibrate int8
_DEV = 4


def main(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    out: Out,
    images: Annotated[int, typer.Option(help="Number of images.")] = 200,
    rows: Annotated[int, typer.Option(help="Images of an epoch: the same ones again and again.")] = 4096,
) -> None:
    """Draws images and writes a protocol of them, half of it labelled synthetic.

    A protocol lists no file twice, so the images have further names.
    """
    for name in (IMAGES, HELD_OUT, TRAINED):
        (folder / name).mkdir(parents=True, exist_ok=True)
    drawn = draw(folder / IMAGES, images)
    others = draw(folder / HELD_OUT, _HELD_OUT, first=images)
    trained = [folder / TRAINED / f"{number:05}.jpg" for number in range(rows)]
    for path, source in zip(trained, cycle(drawn), strict=False):
        path.unlink(missing_ok=True)
        _link(path, source)
    for split, paths in (("train", trained), ("dev", others[:_DEV])):
        samples = [
            Sample(f"{split}-{number}", path.relative_to(folder).as_posix(), "drawn" if number % 2 else "")
            for number, path in enumerate(paths)
        ]
        write_split(samples, folder / PROTOCOL / f"{split}.csv")
    Figures(out).add(images=images, held_out=_HELD_OUT, rows=rows)


def augmentation() -> float:
    """Returns the share of images that training degrades: the default, or 0 without SciPy, which does it."""
    return 0.0 if find_spec("scipy") is None else TrainConfig.augment


def _link(path: Path, source: Path) -> None:
    """Gives a file a second name; a copy where the file system has no such names."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)


if __name__ == "__main__":
    run(main)
