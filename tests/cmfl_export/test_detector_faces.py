"""Detector with align: photographs of every kind, one row a face, and what uses it: evaluate, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate.calibration import calibrate
from cmfl_export.evaluate.labelled_scores import read_scores
from cmfl_export.evaluate.run import evaluate
from cmfl_export.faces.aligner import Aligner
from cmfl_export.images.status import Status
from cmfl_export.predict import read_rows
from cmfl_export.predict.run import predict_to
from cmfl_export.runtime.prediction import Prediction
from protocols import Sample, write_split
from tests.cmfl_export import tiny_model
from tests.cmfl_export.photographs import astronaut, coffee, group
from tests.cmfl_export.predictions import the_row

TWO = ((150, 20, 30), (110, 250, 80))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    astronaut().resize((256, 256), Image.Resampling.BOX).save(folder / "a.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    coffee().save(folder / "none.png")
    group(*TWO, size=(400, 220)).save(folder / "two.png")
    return folder


@pytest.fixture(scope="module")
def every(tiny: Path) -> Detector:
    return Detector(tiny, provider="cpu", align="all", batch_size=2, workers=2)


@pytest.fixture(scope="module")
def largest(tiny: Path) -> Detector:
    return Detector(tiny, provider="cpu", align="largest")


def scores(row: Prediction) -> list[float | None]:
    return [row.p_real, row.p_real_rgb, row.p_real_spectrum]


def test_rows_are_those_of_the_aligned_faces(every: Detector, folder: Path) -> None:
    paths = [str(folder / name) for name in ("two.png", "none.png", "a.png", "bad.jpg", "two.png")]
    rows = list(every.stream(paths, extras=True))
    places = [(0, 2), (1, 2), (None, None), (0, 1), (None, None), (0, 2), (1, 2)]
    assert [(row.face, row.faces) for row in rows] == places
    assert rows[2].status is Status.NO_FACE
    assert rows[4].status is Status.NOT_AN_IMAGE
    with Image.open(folder / "two.png") as photograph:
        crops = Aligner(provider="cpu")(photograph)
    for row, crop in zip(rows[:2], crops, strict=True):
        pixels = np.asarray(crop.crop.image)
        assert scores(row) == pytest.approx(tiny_model.expected(pixels), abs=1e-6)
        assert np.array_equal(row.extras["image"], pixels)
        assert row.box == crop.box
    assert rows[5:] == rows[:2]


def test_every_kind_of_input_has_the_largest_face(largest: Detector, every: Detector, folder: Path) -> None:
    path = folder / "two.png"
    with Image.open(path) as photograph:
        photograph.load()
        kinds: list[Any] = [path, path.read_bytes(), photograph, np.asarray(photograph)]
        rows = [the_row(largest.predict(kind)) for kind in kinds]
        alone = every.predict(photograph)
    assert isinstance(alone, Prediction)
    assert len({tuple(scores(row)) for row in rows}) == 1
    assert (rows[0].face, rows[0].faces, rows[0].box) == (0, 1, alone.box)
    assert len(every.predict([path])) == 2
    assert len(largest.predict([path])) == 1


def test_predict_to_resumes_whole_pictures(tiny: Path, folder: Path, tmp_path: Path) -> None:
    inputs = [str(folder / name) for name in ("two.png", "none.png", "two.png", "a.png")]
    out = tmp_path / "rows.csv"
    summary = predict_to(tiny, inputs, out, provider="cpu", align="all")
    assert (summary.n, summary.images, summary.faces, summary.failed) == (6, 4, 5, {"no_face": 1})
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in range(len(lines)):
        out.write_bytes(b"".join(lines[:kept]))
        predict_to(tiny, inputs, out, provider="cpu", align="all", resume=True)
        assert out.read_bytes() == whole
    page = tmp_path / "report.html"
    predict_to(tiny, inputs, out, provider="cpu", align="all", resume=True, report=page)
    assert "two.png (face 2 of 2)" in page.read_text()


def test_aligned_models_and_options(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="align makes aligned crops"):
        Detector(tiny, provider="cpu", align="all", aligned=False)
    unaligned = tiny_model.write(tmp_path / "unaligned.onnx", aligned=False)
    assert Detector(unaligned, provider="cpu", align="largest").aligned
    with pytest.raises(CmflError, match="at least 12 pixels"):
        Detector(tiny, provider="cpu", align="all", minimum_face=3)


def test_a_network_that_fails_ends_the_run(
    every: Detector, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Aligner, picture: Image.Image) -> None:
        raise CmflError("GPU lost")

    monkeypatch.setattr(Aligner, "__call__", lost)
    with pytest.raises(CmflError, match="GPU lost"):
        list(every.stream([folder / "a.png"]))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with a bright real or a dark synthetic face off the middle; one of each class has none."""
    root = tmp_path_factory.mktemp("split")
    samples = []
    for number in range(3):
        for attack, light in (("", 1.0), ("gan", 0.6)):
            name = f"{attack or 'real'}{number}.png"
            photograph = group((120 + 10 * number, 180, 20), size=(320, 200)) if number else coffee()
            photograph.point(lambda value, light=light: value * light).save(root / name)
            samples.append(Sample(name, name, attack))
    write_split(samples, root / "protocol" / "dev.csv")
    return root / "protocol" / "dev.csv"


def test_evaluate(tiny: Path, split: Path, tmp_path: Path) -> None:
    root = split.parent.parent
    evaluation = evaluate(
        [tiny], tmp_path, protocol=split, data_root=root, align=True, provider="cpu", samples=5
    )
    assessment = evaluation.candidates[0].assessment
    assert assessment.apnrr == pytest.approx(1 / 3)
    assert assessment.bpnrr == pytest.approx(1 / 3)
    assert [failed.row.status for failed in assessment.failed] == [Status.NO_FACE] * 2
    assert assessment.heads["p_real"]["d_eer"].value == 0
    rows = read_scores(tmp_path / "scores.csv")
    detector = Detector(tiny, provider="cpu", align="largest")
    for scored in rows:
        again = detector.predict(root / scored.sample.filename)
        assert isinstance(again, Prediction)
        assert scored.row.p_real == again.p_real


def test_calibrate(tiny: Path, split: Path, tmp_path: Path) -> None:
    calibration = calibrate(
        tiny, tmp_path / "c.onnx", protocol=split, data_root=split.parent.parent, align=True, provider="cpu"
    )
    assert (calibration.images, calibration.failed) == (4, 2)


def test_scores_of_predict_are_evaluated(tiny: Path, split: Path, tmp_path: Path) -> None:
    root = split.parent.parent
    predict_to(tiny, [str(root)], tmp_path / "p.csv", provider="cpu", align="largest")
    names = [row.path for row in read_rows(tmp_path / "p.csv")]
    rows = read_scores(tmp_path / "p.csv", [Sample(name, Path(name).name, "") for name in names], root)
    assert [scored.row.status.value for scored in rows].count("no_face") == 2
