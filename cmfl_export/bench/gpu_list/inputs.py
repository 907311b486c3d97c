"""Draws what is measured on: images, others to judge fp16 on, and a protocol of them to train on."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import typer

from protocols import Sample, write_split

from ..pictures import draw
from .figures import Figures, Out, run

IMAGES, HELD_OUT, PROTOCOL = "images", "held-out", "protocol"
_HELD_OUT = 32  # fp16 needs 16 for its check; as many others would calibrate int8
_DEV = 4


def main(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    out: Out,
    images: Annotated[int, typer.Option(help="Number of images.")] = 200,
    rows: Annotated[
        int, typer.Option(help="Rows to train on, which name the images again and again.")
    ] = 4096,
) -> None:
    """Draws images and writes a protocol of them, half of it labelled synthetic."""
    for name in (IMAGES, HELD_OUT):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = [path.name for path in draw(folder / IMAGES, images)]
    draw(folder / HELD_OUT, _HELD_OUT, first=images)
    for split, count in (("train", rows), ("dev", _DEV)):
        samples = [
            Sample(f"{split}-{number}", name, "drawn" if number % 2 else "")
            for number, name in enumerate(islice(cycle(names), count))
        ]
        write_split(samples, folder / PROTOCOL / f"{split}.csv")
    Figures(out).add(images=images, held_out=_HELD_OUT, rows=rows)


if __name__ == "__main__":
    run(main)
