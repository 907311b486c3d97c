"""What is decided from a score, with one threshold and with a band."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError
from cmfl_export.runtime.card import METADATA_KEY, SCHEMA_VERSION, ModelCard
from cmfl_export.runtime.decision import DecisionRule
from tests.cmfl_export import tiny_model

CARD = replace(tiny_model.card(), threshold=0.4, band=(0.3, 0.6))


def test_one_threshold_gives_two_decisions() -> None:
    rule = DecisionRule(0.4)
    assert [rule.decide(p) for p in (0.0, 0.3999, 0.4, 1.0)] == ["synthetic", "synthetic", "real", "real"]


def test_a_band_gives_three() -> None:
    """From `high` on real, below `low` synthetic; both ends belong to the side above them."""
    found = [CARD.rule.decide(p) for p in (0.0, 0.2999, 0.3, 0.4, 0.5999, 0.6, 1.0)]
    assert found == ["synthetic", "synthetic", "uncertain", "uncertain", "uncertain", "real", "real"]


def test_scores_contradict_each_other_only_across_the_band() -> None:
    assert CARD.rule.contradicts(0.2, 0.7)
    assert CARD.rule.contradicts(0.7, 0.2)
    assert not CARD.rule.contradicts(0.35, 0.7)
    assert not CARD.rule.contradicts(0.35, 0.55)
    assert DecisionRule(0.4).contradicts(0.35, 0.55)


def test_the_card_decides_after_its_temperature() -> None:
    """logit(0.65) / 2 is the logit of 0.577: within the band, though 0.65 is above it."""
    assert CARD.decide(0.65) == "real"
    assert replace(CARD, temperature=2.0).decide(0.65) == "uncertain"


def test_a_card_comes_back_with_its_band() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD
    assert CARD.items()["band"] == "0.3, 0.6"


def test_a_card_without_a_band_does_not_name_one() -> None:
    """So that nothing changes in the files of before, which are read as ever."""
    text = tiny_model.card().to_json()
    assert "band" not in json.loads(text)
    assert ModelCard.from_json(text).band is None
    assert ModelCard.from_json(json.dumps(json.loads(text) | {"band": None})).band is None
    assert CARD.schema == SCHEMA_VERSION == 2


@pytest.mark.parametrize(
    "band",
    [
        *([0.3], [0.3, 0.6, 0.7], [0.6, 0.3], [-0.1, 0.6], [0.3, 1.1], [0.41, 0.6], [0.1, 0.39]),
        *(["0.3", 0.6], [True, True], [None, 0.6], "ab", 0.5, {"low": 0.3}),
    ],
)
def test_bands_that_are_none(band: object) -> None:
    text = json.dumps(json.loads(CARD.to_json()) | {"band": band})
    with pytest.raises(CmflError, match="band is not"):
        ModelCard.from_json(text)


def test_the_detector_decides_by_it_unless_a_threshold_is_given(tmp_path: Path) -> None:
    proto = tiny_model.build()
    onnx.helper.set_model_props(proto, {METADATA_KEY: CARD.to_json()})
    onnx.save(proto, tmp_path / "m.onnx")
    images = [np.full((224, 224, 3), level, np.uint8) for level in (50, 100, 127, 200)]
    detector = Detector(tmp_path / "m.onnx", provider="onnxruntime")
    decided = [row.decision for row in detector.predict(images)]
    assert decided == ["synthetic", "uncertain", "uncertain", "real"]
    assert (detector.threshold, detector.band) == (0.4, (0.3, 0.6))
    given = Detector(tmp_path / "m.onnx", provider="onnxruntime", threshold=0.4)
    assert [row.decision for row in given.predict(images)] == ["synthetic", "synthetic", "real", "real"]
    assert given.band is None
