"""The page finds and crops the faces that Python does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmfl_export.faces import AlignedFace, Aligner
from cmfl_export.faces.crop import Similarity, align, template
from cmfl_export.faces.mtcnn import network_files
from cmfl_export.images import ImageError
from tests.cmfl_export.photographs import astronaut, cameraman, coffee, group, head
from tests.cmfl_export.web import in_node

SCRIPTS = ["resample.js", "mtcnn.js", "align.js"]
TWO = (160, 10, 40), (70, 250, 150)

# Each with the options in Python and the number of faces.
PICTURES: dict[str, tuple[Callable[[], Image.Image], dict[str, Any], int]] = {
    "astronaut": (astronaut, {}, 1),
    "cameraman": (cameraman, {}, 1),
    "small": (lambda: astronaut().resize((256, 256), Image.Resampling.BOX), {}, 1),
    "turned": (lambda: head().rotate(25, Image.Resampling.BICUBIC), {"minimum": 30}, 1),
    "three, two of one size": (
        lambda: group((80, 350, 20), (80, 20, 180), (150, 160, 60), size=(450, 280)),
        {},
        3,
    ),
    "the largest of two": (lambda: group(*TWO, size=(360, 250)), {"largest": True, "face_scale": 1.1}, 1),
    "those above 60 pixels": (lambda: group(*TWO, size=(360, 250)), {"minimum": 60}, 1),
    "at the border": (lambda: astronaut().crop((100, 75, 400, 300)), {}, 1),
    "searched in a smaller copy": (lambda: group((180, 100, 10), (150, 1400, 20), size=(1700, 200)), {}, 2),
    "no face": (lambda: coffee().crop((0, 0, 300, 300)), {}, 0),
    "grey": (lambda: Image.new("RGB", (64, 64), "grey"), {}, 0),
    "a pixel": (lambda: Image.new("RGB", (1, 1), "grey"), {}, 0),
}

FIND = """
const { default: path } = await import('node:path');
const { pathToFileURL } = await import('node:url');
const ort = await import(pathToFileURL(path.join(job.package, 'dist', 'ort.wasm.min.mjs')));
ort.env.wasm.numThreads = 1;
const files = {};
for (const [name, file] of job.networks) files[name] = new Uint8Array(fs.readFileSync(file));
const nets = await openFaceNetworks(ort, files);
const answers = [];
for (const { size, align, options } of job.cases) {
  const found = await alignFaces(nets, next(...size), ...size, align, options);
  for (const face of found.faces) {
    parts.push(face.crop);
    delete face.crop;
  }
  answers.push(found);
}
return answers;
"""
CROP = """
return job.map(({ size, landmarks, scale }) => {
  const { crop, padding } = cropFace(next(...size), ...size, landmarks, scale);
  parts.push(crop);
  return padding;
});
"""


def in_javascript(options: dict[str, Any]) -> dict[str, Any]:
    names = {"face_scale": "faceScale", "minimum": "minimum"}
    return {names[name]: value for name, value in options.items() if name in names}


def found_in_python(picture: Image.Image, options: dict[str, Any]) -> list[AlignedFace]:
    try:
        return Aligner(provider="cpu", **options)(picture)
    except ImageError:
        return []


def test_the_same_faces_and_crops(package: Path, tmp_path: Path) -> None:
    pictures, networks = [draw() for draw, _, _ in PICTURES.values()], []
    for name, content in network_files().items():
        networks.append((name, str(tmp_path / name)))
        (tmp_path / name).write_bytes(content)
    cases = [
        {
            "size": picture.size,
            "align": "largest" if "largest" in options else "all",
            "options": in_javascript(options),
        }
        for picture, (_, options, _) in zip(pictures, PICTURES.values(), strict=True)
    ]
    job = {"package": str(package), "networks": networks, "cases": cases}
    arrays = [np.asarray(picture) for picture in pictures]
    answers, content = in_node.run(SCRIPTS, FIND, job, arrays, tmp_path)
    crops = iter(np.frombuffer(content, np.uint8).reshape(-1, 224, 224, 3))
    for picture, (_, options, count), answer in zip(pictures, PICTURES.values(), answers, strict=True):
        faces = found_in_python(picture, options)
        assert len(faces) == len(answer["faces"]) == count
        assert (answer["status"], answer["error"]) == (("ok", "") if count else ("no_face", "no face found"))
        for found, aligned in zip(answer["faces"], faces, strict=True):
            face, crop = aligned.face, aligned.crop
            assert (found["face"], found["faces"]) == (aligned.number, aligned.of)
            box = [found[side] for side in ("left", "top", "right", "bottom")]
            assert box == pytest.approx(face.box, abs=0.051)  # rounded to a tenth
            np.testing.assert_allclose(found["landmarks"], face.landmarks, atol=0.001)
            assert found["confidence"] == pytest.approx(face.confidence, abs=1e-5)
            assert found["padding"] == pytest.approx(crop.padding, abs=1e-4)
            check(next(crops), crop.image)
    assert next(crops, None) is None


def check(found: np.ndarray, expected: Image.Image) -> None:
    """Equal but for values that lie on whole numbers, which rounding errors may put one lower."""
    difference = np.abs(found.astype(int) - np.asarray(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


def test_crops_from_the_same_landmarks(tmp_path: Path) -> None:
    """Enlarged, reduced, turned, and in part or for the most part outside the picture."""
    rng = np.random.default_rng(0)
    # Side, size of the face against that in the crop, its turn in degrees and middle, scale.
    cases = [(224, 1.0, 0.0, 112 + 112j, 0.8), (20, 1.0, 0.0, 10 + 10j, 0.8), (168, 1.0, 0.0, 56 + 112j, 1.3)]
    for _ in range(12):
        side = int(rng.integers(60, 700))
        middle = complex(*rng.uniform(0, side, 2))
        cases.append((side, 2 ** rng.uniform(-2, 2), rng.uniform(-60, 60), middle, rng.uniform(0.4, 1.6)))
    job, pictures, expected = [], [], []
    for side, size, degrees, middle, scale in cases:
        picture = rng.integers(0, 256, (side, side + 9, 3), dtype=np.uint8)
        turn = complex(size * np.exp(1j * np.radians(degrees)))
        landmarks = Similarity(turn, middle)(template() - 112)
        landmarks += rng.normal(0, size, (5, 2)) * (degrees != 0)
        job.append({"size": [side + 9, side], "landmarks": landmarks.tolist(), "scale": scale})
        pictures.append(picture)
        expected.append(align(Image.fromarray(picture), landmarks, face_scale=scale))
    padding, crops = in_node.run(SCRIPTS, CROP, job, pictures, tmp_path)
    assert padding == pytest.approx([crop.padding for crop in expected], abs=1e-4)
    found = np.frombuffer(crops, np.uint8).reshape(-1, 224, 224, 3)
    for ours, crop in zip(found, expected, strict=True):
        check(ours, crop.image)
