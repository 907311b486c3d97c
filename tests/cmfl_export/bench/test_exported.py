"""An exported model as a contender, and the start-up of the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench.exported import ExportedModel, batch_of
from cmfl_export.bench.process import ContenderError
from cmfl_export.bench.start_up import first_row_seconds


@pytest.fixture
def images(faces: Path) -> list[str]:
    """Means of 0.2, 0.4 and 0.8, and one that is no image."""
    return [str(faces / name) for name in ("a.png", "b.png", "bad.jpg", "sub folder/c.png")]


@pytest.fixture
def engine(tiny: Path, images: list[str]) -> ExportedModel:
    return ExportedModel(str(tiny), "cpu", 1, images, 3)


def test_scores_are_kept_in_order_and_without_those_that_are_none(engine: ExportedModel) -> None:
    about = engine.about()
    assert about["scores"] == [pytest.approx(0.2), pytest.approx(0.4), None]
    assert about["provider"] == "cpu"
    assert about["threshold"] == 0.5


def test_the_session_alone(engine: ExportedModel) -> None:
    assert engine.unit("batch 5", 0.0)() == 5


def test_the_whole_way_takes_whole_batches_for_about_the_time(engine: ExportedModel) -> None:
    engine._rate = 32.0
    run = engine.unit("folder", 0.5)
    assert run() == 16
    # The rate of the last run decides on the next.
    engine._rate = 100.0
    assert run() == 48


def test_the_whole_way_gives_all_concurrent_batches_as_many_images(tiny: Path, images: list[str]) -> None:
    engine = ExportedModel(str(tiny), "openvino", 3, images, 3)
    engine._rate = 40.0
    # Three concurrent batches of 4.
    assert engine.unit("folder", 0.5)() == 24


def test_batches_go_round_the_images_that_can_be_decoded(images: list[str]) -> None:
    batch = batch_of(images, 5, aligned=True)
    assert batch.shape == (5, 224, 224, 3)
    np.testing.assert_array_equal(batch.mean((1, 2, 3)), [51, 102, 204, 51, 102])


def test_no_image_that_can_be_decoded(images: list[str]) -> None:
    with pytest.raises(CmflError, match="none of the images can be decoded"):
        batch_of([images[2]], 1, aligned=True)


class TestStartUp:
    def test_to_the_first_row(self, tiny: Path, images: list[str]) -> None:
        assert 0.05 < first_row_seconds(str(tiny), "cpu", 1, images[0]) < 60

    def test_the_words_of_the_command_where_there_is_none(self, images: list[str]) -> None:
        with pytest.raises(ContenderError, match=r"^absent\.onnx: no such model file$"):
            first_row_seconds("absent.onnx", "cpu", None, images[0])
