"""The model card: there and back through JSON, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.runtime.card import SCHEMA_VERSION, ModelCard
from tests.cmfl_export.report.test_html import PARTS

CARD = ModelCard(
    name="face → real?",
    architecture="two_stream",
    spectra="multi",
    aligned=False,
    outputs=("p_real", "p_real_rgb", "p_real_spectrum", "embedding"),
    threshold=0.31,
    threshold_source="dev D-EER",
    training={"protocol": "stylegan1", "lr": 1e-4, "cropped": None, "nested": {"betas": [0.9, 0.999]}},
    data="5 000 faces",
    metrics={"dev_d_eer": 0.012},
    parity={"max_abs_p": 3e-6},
    versions={"torch": "2.9"},
    weights_sha256="ab" * 32,
    licence="CC-BY-4.0",
)


def changed(**values: Any) -> str:
    """The card's JSON with some entries replaced; None takes one out."""
    data = json.loads(CARD.to_json()) | values
    return json.dumps({key: value for key, value in data.items() if value is not None})


def test_there_and_back() -> None:
    back = ModelCard.from_json(CARD.to_json())
    # JSON has no tuples, but the card's outputs are one again.
    assert back == CARD
    assert ModelCard.from_json(back.to_json()) == CARD


def test_json_names_every_field_and_the_schema() -> None:
    data = json.loads(CARD.to_json())
    assert data["schema"] == SCHEMA_VERSION
    assert data["outputs"] == list(CARD.outputs)
    assert "uint8 [batch, 224, 224, 3]" in data["input"]
    assert "1 = real" in data["labels"]
    assert "evidence and not proof" in data["intended_use"]


def test_unknown_entries_are_ignored() -> None:
    """An older version reads what a newer one of the same schema adds."""
    assert ModelCard.from_json(changed(colour="blue")) == CARD


def test_optional_entries_have_defaults() -> None:
    card = ModelCard.from_json(changed(data=None, metrics=None, licence=None))
    assert card == replace(CARD, data="", metrics={}, licence="not stated")


def test_newer_schema_is_refused() -> None:
    with pytest.raises(CmflError, match=rf"schema {SCHEMA_VERSION + 1}, newer .* upgrade cmfl-export"):
        ModelCard.from_json(changed(schema=SCHEMA_VERSION + 1))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"text"', "{}", changed(schema=None), changed(schema="new")]
)
def test_what_is_no_card(text: str) -> None:
    with pytest.raises(CmflError, match="cannot be read; export the model again"):
        ModelCard.from_json(text)


@pytest.mark.parametrize(
    "values", [{"outputs": None}, {"outputs": 3}, {"threshold": "high"}, {"threshold": []}, {"name": None}]
)
def test_incomplete_cards(values: dict[str, Any]) -> None:
    with pytest.raises(CmflError, match=r"incomplete .* export the model again"):
        ModelCard.from_json(changed(**values))


def test_lines() -> None:
    lines = replace(CARD, data="two\nlines").lines()
    assert all("\n" not in line for line in lines)
    items = dict(line.split(maxsplit=1) for line in lines)
    assert items["name"] == "face → real?"
    assert items["threshold"] == "0.31"
    assert items["outputs"] == "p_real, p_real_rgb, p_real_spectrum, embedding"
    assert items["training.protocol"] == "stylegan1"
    assert items["training.nested.betas"] == "0.9, 0.999"
    assert items["data"] == "two lines"
    assert items["versions.torch"] == "2.9"
    # The values stand in one column.
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1


def test_lines_of_an_empty_card() -> None:
    card = ModelCard("m", "one_stream", "rgb", True, ())
    items = dict(line.split(maxsplit=1) for line in card.lines())
    assert {items[key] for key in ("outputs", "data", "metrics", "training", "weights_sha256")} == {"-"}


def test_a_minimum_resolution() -> None:
    assert "minimum_resolution" not in json.loads(CARD.to_json())
    card = replace(CARD, minimum_resolution=96)
    assert ModelCard.from_json(card.to_json()) == card
    assert card.items()["minimum_resolution"] == "96"
    for wrong in (-1, 100_001, 60.5, True, "60", [60]):
        with pytest.raises(CmflError, match=r"incomplete \(minimum_resolution is "):
            ModelCard.from_json(changed(minimum_resolution=wrong))


def test_temperature_sharpens_or_softens_and_keeps_order() -> None:
    scores = [0.0, 1e-30, 0.1, 0.5, 0.8, 1.0]
    for temperature in (0.05, 0.5, 1.0, 2.0, 20.0):
        card = replace(CARD, temperature=temperature)
        calibrated = [card.calibrated(score) for score in scores]
        assert calibrated == sorted(calibrated)
        assert (calibrated[0], calibrated[3], calibrated[-1]) == (0.0, 0.5, 1.0)
    # logit(0.8) = ln 4; half of it is ln 2, whose sigmoid is 2/3.
    assert replace(CARD, temperature=2.0).calibrated(0.8) == pytest.approx(2 / 3)


@pytest.mark.parametrize("temperature", [0, -1, "hot", float("nan"), float("inf")])
def test_a_temperature_that_cannot_be(temperature: object) -> None:
    with pytest.raises(CmflError, match="incomplete"):
        ModelCard.from_json(changed(temperature=temperature))


def test_a_card_of_the_first_schema_is_uncalibrated() -> None:
    old = json.loads(changed(schema=1))
    for entry in ("temperature", "calibration", "history"):
        del old[entry]
    card = ModelCard.from_json(json.dumps(old))
    assert (card.temperature, card.calibration, card.history) == (1.0, {}, ())


ODD = {
    "blank": "  \t\n",
    "empty": "",
    "lines": "a\r\n b\u2028c",
    "long": "x" * 100_000,
    "control": "\x1b[2J\u202e\x00",
    "number": 7,
    "none": None,
    "list": [],
    "dict": {},
    "lists": [[], {}, " "],
    "blank key": {"": " ", " ": {"  ": ""}},
    "markup": "<script>",
}


def test_odd_values_are_items_lines_and_a_table() -> None:
    """A blank value once ended a run with a report after all its scoring."""
    odd = replace(CARD, training=ODD, data=" ", licence="\n")
    items = odd.items()
    assert items["training.blank"] == items["training.empty"] == items["data"] == items["licence"] == "-"
    assert items["training.lines"] == "a b c"
    assert len(odd.lines()) == len(items)
    assert all(value.strip() and "\n" not in value for value in items.values())
    text = PARTS.card_table(odd)
    assert text.count("<tr>") == len(items) + 1
    assert "<script>" not in text
    assert "\x1b" not in text
    assert ModelCard.from_json(odd.to_json()).items() == items


def test_a_name_that_is_not_utf8_is_read_back() -> None:
    odd = replace(CARD, name="n\udcff\u00fc")
    text = odd.to_json()
    text.encode()
    assert ModelCard.from_json(text) == replace(odd, name="n\\udcff\u00fc")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"threshold": float("nan")}, "threshold is not a finite number"),
        ({"threshold": float("inf")}, "threshold is not a finite number"),
        ({"threshold": 1.5}, "threshold is 1.5, not within 0 and 1"),
        ({"threshold": True}, "threshold is not a finite number"),
        ({"temperature": -0.0}, "temperature is -0, not greater than 0"),
        ({"precision": "fp8"}, "precision is not one of"),
        ({"architecture": "three_stream"}, "no network is"),
        ({"spectra": "rgb"}, "no network is"),
        ({"aligned": 1}, "aligned is not true or false"),
        ({"name": ""}, "name must have"),
        ({"name": "n" * 1000}, "name must have"),
        ({"licence": ["mit"]}, "licence is not a text"),
        ({"data": "\ud800"}, "data is not Unicode"),
        ({"outputs": [1]}, "outputs is not a list of names"),
        ({"outputs": "p_real"}, "outputs is not a list"),
        ({"history": [1]}, "history is not a list of objects"),
        ({"calibration": []}, "calibration is not an object"),
        ({"calibration": {"subjects": 3}}, "not base64"),
        ({"calibration": {"subjects": "?"}}, "not base64"),
        ({"versions": {"torch": 2}}, "versions has values that are not texts"),
    ],
)
def test_values_that_cannot_be(values: dict[str, Any], words: str) -> None:
    with pytest.raises(CmflError, match=f"incomplete .*{words}.*export the model again"):
        ModelCard.from_json(changed(**values))


@pytest.mark.parametrize(
    "text",
    [
        changed(metrics=None)[:-1] + ', "metrics": ' + "[" * 100_000,
        changed(schema=None)[:-1] + ', "schema": ' + "9" * 5000 + "}",
        changed()[:-1] + ', "threshold": 0.1}',
        changed(data="x" * 5_000_000),
    ],
)
def test_cards_beyond_all_limits(text: str) -> None:
    with pytest.raises(CmflError, match="cannot be read; export the model again") as caught:
        ModelCard.from_json(text)
    assert len(str(caught.value)) < 200


def test_a_figure_that_could_not_be_measured() -> None:
    card = replace(CARD, metrics={"dev_d_eer": float("nan"), "dev_loss": 0.5})
    assert ModelCard.from_json(card.to_json()).metrics == {"dev_d_eer": None, "dev_loss": 0.5}
    older = card.to_json().replace("null", "NaN")
    assert ModelCard.from_json(older).metrics == {"dev_d_eer": None, "dev_loss": 0.5}
