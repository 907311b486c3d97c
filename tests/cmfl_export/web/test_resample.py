"""The page's resizing is Pillow's, and its input to the model is that of `decode`, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images import SIZE, decode
from tests.cmfl_export import photographs
from tests.cmfl_export.web import in_node

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
RESIZE = """
for (const { from, to, box, filter } of job) parts.push(resize(next(...from), ...from, ...to, box, filter));
"""
FIT = """
for (const { from, aligned } of job) parts.push(fitToModel(next(...from), ...from, aligned));
"""
CROP = """
for (const { from, box } of job) parts.push(cropPixels(next(...from), ...from, ...box));
return [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6, -2.6].map(roundToEven);
"""


def pixels(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise, or black and white alone, where bicubic overshoots most."""
    values = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return values if rng.random() < 0.6 else np.where(values < 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", FILTERS)
def test_any_size_and_part(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(sum(name.encode()))
    job, pictures, expected = [], [], []
    for number in range(120):
        width, height, new_width, new_height = (int(2 ** rng.uniform(0, 8)) for _ in range(4))
        if number % 10 == 0:
            new_width = width  # one pass
        if number % 15 == 0:
            new_height = height
        box = None
        if number % 3:
            left, right = sorted(rng.uniform(0, width, 2))
            top, bottom = sorted(rng.uniform(0, height, 2))
            box = [left, top, right, bottom]
            if number % 3 == 2:
                box = [
                    float(np.floor(left)),
                    float(np.floor(top)),
                    float(np.ceil(right)),
                    float(np.ceil(bottom)),
                ]
        picture = pixels(rng, width, height)
        size = new_width, new_height
        job.append({"from": [width, height], "to": size, "box": box, "filter": name})
        pictures.append(picture)
        resized = Image.fromarray(picture).resize(size, FILTERS[name], None if box is None else tuple(box))
        expected.append(np.asarray(resized).tobytes())
    _, found = in_node.run(["resample.js"], RESIZE, job, pictures, tmp_path)
    assert len(found) == sum(map(len, expected))
    for case, wanted in zip(job, expected, strict=True):
        assert found[: len(wanted)] == wanted, case
        found = found[len(wanted) :]


def test_the_input_of_the_model(tmp_path: Path) -> None:
    """Photographs and shapes of every kind, also those of which only the middle is resized."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (224, 224), (256, 256), (1, 300), (2200, 9), (223, 225), (40, 333), (227, 224), (9, 80)]
    pictures = [pixels(rng, *shape) for shape in shapes]
    pictures += [np.asarray(photographs.astronaut()), np.asarray(photographs.coffee())]
    cases = [(picture, aligned) for picture in pictures for aligned in (True, False)]
    job = [{"from": picture.shape[1::-1], "aligned": aligned} for picture, aligned in cases]
    _, found = in_node.run(["resample.js"], FIT, job, [picture for picture, _ in cases], tmp_path)
    scored = np.frombuffer(found, np.uint8).reshape(len(cases), SIZE, SIZE, 3)
    for (picture, aligned), ours in zip(cases, scored, strict=True):
        np.testing.assert_array_equal(ours, decode(picture, aligned=aligned), str(picture.shape))


def test_parts_reach_beyond_the_picture(tmp_path: Path) -> None:
    picture = pixels(np.random.default_rng(1), 20, 10)
    boxes = [(-5, -3, 25, 14), (3, 2, 9, 8), (-9, 0, -2, 4), (18, 5, 30, 7), (3, 20, 6, 24)]
    job = [{"from": [20, 10], "box": box} for box in boxes]
    rounded, found = in_node.run(["resample.js"], CROP, job, [picture] * len(boxes), tmp_path)
    expected = [np.asarray(Image.fromarray(picture).crop(box)).tobytes() for box in boxes]
    assert found == b"".join(expected)
    assert rounded == [round(value) for value in (0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6, -2.6)]
