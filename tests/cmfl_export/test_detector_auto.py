"""Detector with align "auto": crops as they are, the largest face of photographs, and what rows say of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from cmfl_export import Detector
from cmfl_export import detector as detector_module
from cmfl_export.base.errors import CmflError, PackageError
from cmfl_export.base.options import DetectorSettings
from cmfl_export.faces.aligner import Aligner
from cmfl_export.images.status import Status
from cmfl_export.predict import predict_to, read_rows, recheck, setup_of
from cmfl_export.runtime.card import METADATA_KEY
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export import tiny_model
from tests.cmfl_export.photographs import astronaut, coffee, group
from tests.cmfl_export.predictions import the_row

TWO = ((150, 20, 30), (110, 250, 80))


@pytest.fixture(scope="module")
def auto(tiny: Path) -> Detector:
    return Detector(tiny, provider="cpu")


@pytest.fixture(scope="module")
def plain(tiny: Path) -> Detector:
    return Detector(tiny, provider="cpu", align=None)


@pytest.fixture(scope="module")
def crop() -> Image.Image:
    """224 x 224, aligned."""
    return Aligner(provider="cpu")(astronaut())[0].crop.image


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "is_available", lambda: False)


def scores(row: Prediction) -> list[float | None]:
    return [row.p_real, row.p_real_rgb, row.p_real_spectrum]


def test_a_crop_is_scored_as_it_is(auto: Detector, plain: Detector, crop: Image.Image) -> None:
    row = auto.predict(crop, extras=True)
    assert np.array_equal(row.extras["image"], np.asarray(crop))
    assert scores(row) == scores(plain.predict(crop))
    assert (row.geometry, row.faces_found, row.face, row.box) == ("crop", None, None, None)
    assert row.face_size is not None
    assert 90 < row.face_size < 160


def test_a_crop_of_another_size_is_only_resized(auto: Detector, plain: Detector, crop: Image.Image) -> None:
    large = crop.resize((448, 448), Image.Resampling.BICUBIC)
    row, small = auto.predict(large, extras=True), the_row(auto.predict(crop))
    assert np.array_equal(row.extras["image"], plain.predict(large, extras=True).extras["image"])
    assert row.geometry == "resized"
    assert row.face_size == pytest.approx(2 * (small.face_size or 0), rel=0.1)


def test_a_photograph_is_aligned(auto: Detector, tiny: Path) -> None:
    largest = Detector(tiny, provider="cpu", align="largest")
    for photograph, found in ((astronaut(), 1), (group(*TWO, size=(400, 220)), 2)):
        row = auto.predict(photograph, extras=True)
        right = largest.predict(photograph, extras=True)
        assert row == right
        assert np.array_equal(row.extras["image"], right.extras["image"])
        assert (row.geometry, row.face, row.faces, row.faces_found) == ("aligned", 0, 1, found)
        assert row.box is not None
        assert row.face_size == pytest.approx(row.box[2] - row.box[0], abs=0.11)


def test_a_picture_without_a_face(auto: Detector, plain: Detector) -> None:
    row = auto.predict(coffee())
    assert (row.status, row.error) == (
        Status.NO_FACE,
        "no face found; align none would score the middle square",
    )
    # One that has the size of a crop claims to be one.
    small = coffee().resize((224, 224))
    row = auto.predict(small)
    assert (row.status, row.geometry, row.faces_found, row.face_size) == (Status.OK, "crop", 0, None)
    assert scores(row) == scores(plain.predict(small))


def test_a_small_face_has_a_score_and_a_status(tiny: Path, tmp_path: Path) -> None:
    group((120, 30, 40), (60, 250, 90), size=(400, 220)).save(tmp_path / "a.png")
    options: DetectorSettings = {"provider": "cpu", "align": "all", "minimum_resolution": 35}
    assert [row.face_size for row in Detector(tiny, **options).predict([tmp_path / "a.png"])] == [
        pytest.approx(42, abs=5),
        pytest.approx(21, abs=3),
    ]
    summary = predict_to(tiny, [str(tmp_path / "a.png")], tmp_path / "rows.csv", **options)
    large, low = read_rows(tmp_path / "rows.csv")
    assert large.status is Status.OK
    assert low.status is Status.LOW_RESOLUTION
    assert low.ok
    assert low.p_real is not None
    assert low.decision in ("real", "synthetic")
    assert f"the face has {low.face_size:g} pixels in the picture, fewer than 35" == low.error
    assert (summary.real + summary.synthetic, summary.low, summary.failed) == (2, 1, {})
    assert summary.lines()[1].startswith("1 low_resolution: ")
    with pytest.raises(CmflError, match="at least 0"):
        Detector(tiny, provider="cpu", minimum_resolution=-1)


def test_the_card_says_which_face_is_small(tiny: Path, tmp_path: Path) -> None:
    proto = tiny_model.build()
    card = replace(tiny_model.card(), minimum_resolution=35)
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.save(proto, tmp_path / "card.onnx")
    group((120, 30, 40), (60, 250, 90), size=(400, 220)).save(tmp_path / "a.png")

    def statuses(model: Path, least: int | None) -> list[Status]:
        detector = Detector(model, provider="cpu", align="all", minimum_resolution=least)
        return [row.status for row in detector.predict([tmp_path / "a.png"])]

    low = Status.LOW_RESOLUTION
    assert statuses(tmp_path / "card.onnx", None) == [Status.OK, low]
    assert statuses(tmp_path / "card.onnx", 15) == [Status.OK, Status.OK]
    assert statuses(tmp_path / "card.onnx", 0) == [Status.OK, Status.OK]
    assert statuses(tiny, None) == [low, low]
    detector = Detector(tmp_path / "card.onnx", provider="cpu")
    assert detector.minimum_resolution == 35
    assert setup_of(detector, detector.groups)["smallest resolution"] == 35


def test_without_the_package(tiny: Path, crop: Image.Image, tmp_path: Path, without_package: None) -> None:
    detector = Detector(tiny, provider="cpu")
    assert (detector.align, detector.groups) == (None, ("faces", "geometry"))
    crop.save(tmp_path / "crop.png")
    astronaut().save(tmp_path / "photograph.png")
    summary = predict_to(tiny, [str(tmp_path)], tmp_path / "rows.csv", provider="cpu")
    rows = list(read_rows(tmp_path / "rows.csv"))
    assert [row.geometry for row in rows] == ["crop", "middle"]
    assert "pip install 'cmfl-export[faces]'" in summary.lines()[1]
    plain = Detector(tiny, provider="cpu", align=None).predict(astronaut())
    assert rows[1].p_real == pytest.approx(plain.p_real, abs=1e-6)


def test_what_turns_it_off(tiny: Path, tmp_path: Path) -> None:
    unaligned = tiny_model.write(tmp_path / "unaligned.onnx", aligned=False)
    off = [Detector(tiny, provider="cpu", aligned=True), Detector(unaligned, provider="cpu")]
    off.append(Detector(tiny, provider="cpu", aligned=False))
    for detector in off:
        assert (detector.align, detector.groups) == (None, ())
        assert detector.predict(coffee()).geometry is None
    assert [detector.aligned for detector in off] == [True, False, False]


def test_a_case_is_rechecked_as_it_was_made(
    tiny: Path, crop: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    crop.save(tmp_path / "images" / "a.png")
    group(*TWO, size=(400, 220)).save(tmp_path / "images" / "b.png")
    case = tmp_path / "case.zip"
    predict_to(tiny, [str(tmp_path / "images")], tmp_path / "rows.csv", case=case, provider="cpu")
    assert recheck(case, tiny, provider="cpu").ok
    monkeypatch.setattr(detector_module, "is_available", lambda: False)
    with pytest.raises(PackageError, match=r"cmfl-export\[faces\]"):
        recheck(case, tiny, provider="cpu")
