"""Stability: the spread of the scores and the flips are those of the changed images themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.detector import Detector
from cmfl_export.images import Status
from cmfl_export.predict import predict_to, read_rows
from cmfl_export.runtime import Prediction, stability
from cmfl_export.runtime.pipeline import Decoded
from tests.cmfl_export import tiny_model


def rough(seed: int) -> np.ndarray:
    """A picture whose mean moves when it is compressed."""
    random = np.random.default_rng(seed)
    return np.where(random.random((224, 224, 3)) < 0.3, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


def by_hand(detector: Detector, image: np.ndarray) -> tuple[float, float, list[float]]:
    """The score, the spread and the scores of the changed images, one image at a time."""
    scores = []
    for change in stability.CHANGES:
        row = detector.predict(change.apply(image, ""))
        assert isinstance(row, Prediction)
        assert row.p_real is not None
        scores.append(row.p_real)
    own = detector.predict(image)
    assert isinstance(own, Prediction)
    assert own.p_real is not None
    return own.p_real, max(own.p_real, *scores) - min(own.p_real, *scores), scores


def test_there_are_eight_changes_and_each_changes_the_image() -> None:
    images = [decoded.image for decoded in stability.with_variants(Decoded(rough(1), "about"))]
    assert len(images) == 9
    assert (images[0] == rough(1)).all()
    assert all((one != images[0]).any() for one in images[1:])


def test_rows_are_those_of_the_changed_images(model: Path) -> None:
    plain = Detector(model, provider="cpu", align=None)
    images = [rough(seed) for seed in range(3)]
    expected = [by_hand(plain, image) for image in images]
    # Between the score of the second image and that of one of its variants.
    score, _, scores = expected[1]
    threshold = (score + max(scores, key=lambda other: abs(other - score))) / 2
    detector = Detector(model, provider="cpu", align=None, threshold=threshold, stability=True, batch_size=4)
    rows = detector.predict(images)
    assert isinstance(rows, list)
    for row, (own, spread, scores) in zip(rows, expected, strict=True):
        flips = sum((other >= threshold) != (own >= threshold) for other in scores)
        assert row.p_real == own
        assert row.spread == pytest.approx(spread, abs=1e-7)
        assert row.flips == flips
        assert row.decision == ("uncertain" if flips else "real" if own >= threshold else "synthetic")
    assert rows[1].decision == "uncertain"


def test_one_picture(model: Path) -> None:
    detector = Detector(model, provider="cpu", align=None, stability=True)
    row = detector.predict(rough(2))
    assert isinstance(row, Prediction)
    assert row.spread == pytest.approx(
        by_hand(Detector(model, provider="cpu", align=None), rough(2))[1], abs=1e-7
    )


def test_a_failed_input_does_not_shift_the_rows(model: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(rough(number)).save(path)
    paths[1].write_bytes(b"no image")
    out = tmp_path / "rows.csv"
    predict_to(model, list(map(str, paths)), out, provider="cpu", align=None, stability=True, progress=False)
    rows = list(read_rows(out))
    assert out.read_text().splitlines()[0].endswith("error,spread,flips")
    assert [Path(row.path).name for row in rows] == [path.name for path in paths]
    assert [row.status for row in rows] == [Status.OK, Status.NOT_AN_IMAGE, Status.OK, Status.OK]
    plain = Detector(model, provider="cpu", align=None)
    for number in (0, 2, 3):
        assert rows[number].spread == pytest.approx(by_hand(plain, rough(number))[1], abs=1e-6)
    assert (rows[1].spread, rows[1].flips) == (None, None)
