"""A small split whose scores are known: flat grey images, which the tiny model scores by their brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from protocols import Sample, write_split

# Folder -> attack type and grey levels. p_real is level / 255.
FOLDERS = {
    "real_a": ("", (250, 240, 230, 220, 210)),
    "real_b": ("", (200, 190, 180, 100, 90)),
    "gan_x": ("x", (10, 20, 30, 40, 50)),
    "gan_y": ("y", (60, 70, 80, 160, 205)),
}


def make(root: Path, *, split: str = "eval", prefix: str = "") -> Path:
    """Writes the images and `protocol/<split>.csv` under `root`; the path of the CSV.

    `prefix` is put before the subjects, so that two splits can have other ones.
    """
    samples = []
    for folder, (attack, levels) in FOLDERS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for level in levels:
            name = f"{folder}/{level}.png"
            Image.fromarray(np.full((224, 224, 3), level, np.uint8)).save(root / name)
            samples.append(Sample(f"{prefix}{folder}-{level}", name, attack))
    path = root / "protocol" / f"{split}.csv"
    write_split(samples, path)
    return path
