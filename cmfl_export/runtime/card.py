"""ModelCard: what an exported file says about itself, stored as JSON in the ONNX metadata."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from typing import Any

from ..base.errors import ModelError
from ..base.networks import ARCHITECTURES
from ..base.text_formats import FormatError, load_json

METADATA_KEY = "cmfl"
SCHEMA_VERSION = 2
MOST_CARD_BYTES = 4 * 1024 * 1024  # of which hashes of the subjects of a calibration are the most
_LONGEST_NAME = 200

PRECISIONS = ("fp32", "fp16", "int8")

INPUT_CONTRACT = "image: uint8 [batch, 224, 224, 3], RGB, one aligned face crop an image; batch is dynamic"
LABEL_CONVENTION = (
    "scores are P(real): 1 = real (bona fide), 0 = synthetic (attack); real when "
    "sigmoid(logit(p_real) / temperature) >= threshold"
)
INTENDED_USE = (
    "Evidence on whether an aligned face photograph is synthetic, for research and for review by a person. "
    "A score is evidence and not proof; it says nothing of generators unlike those in the training data."
)


@dataclass(frozen=True)
class ModelCard:
    """The one description of an exported model.

    `aligned` is the geometry that the model was trained for (see `cmfl_export.images`); `outputs` names the
    graph outputs in order; `threshold` applies to p_real after `temperature` (see `calibrated`);
    `calibration` says on what data both were chosen, and `history` keeps what earlier calibrations said;
    `training` is the training configuration; `parity` the figures of the check that the export ran;
    `versions` the libraries that made the file. `portable` says whether every CPU computes the same from its
    8-bit weights (see `portability`); a card that is read from a file says it of that file's weights.
    """

    name: str
    architecture: str
    spectra: str
    aligned: bool
    outputs: tuple[str, ...]
    threshold: float = 0.5
    threshold_source: str = "default 0.5, not calibrated"
    temperature: float = 1.0
    calibration: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    portable: bool = True
    parity: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    weights_sha256: str = ""
    licence: str = "not stated"
    intended_use: str = INTENDED_USE
    input: str = INPUT_CONTRACT
    labels: str = LABEL_CONVENTION
    schema: int = SCHEMA_VERSION

    def calibrated(self, p_real: float) -> float:
        """The graph's p_real after temperature scaling; the threshold applies to it."""
        return temper(p_real, self.temperature)

    def calls_real(self, p_real: float) -> bool:
        """The card's decision on the graph's p_real: the threshold applies after the temperature."""
        return self.calibrated(p_real) >= self.threshold

    def to_json(self, *, ascii: bool = False) -> str:
        """The card as JSON, of ASCII alone for a terminal."""
        return json.dumps(_storable(asdict(self)), ensure_ascii=ascii, sort_keys=True, allow_nan=False)

    def items(self) -> dict[str, str]:
        """The card for a person, values by name; nested items are named with dots, and no value is blank."""
        values = asdict(self)
        # Hashes, of use to `refuse_overlap` alone.
        if isinstance(values["calibration"], dict):
            values["calibration"].pop("subjects", None)
        return dict(_flatten(values))

    def lines(self) -> list[str]:
        """`items`, one a line."""
        flat = self.items()
        width = max(map(len, flat))
        return [f"{key:<{width}}  {value}" for key, value in flat.items()]

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Reads a card back, and checks every value in it; it may come from anywhere.

        Raises:
            CmflError: not a card, one of a newer schema than this version knows, or a value that cannot be.
        """
        try:
            data = load_json(text, MOST_CARD_BYTES, lenient=True)
        except FormatError as error:
            raise ModelError(
                f"the model card in the file cannot be read; export the model again ({error})"
            ) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if type(schema) is not int or schema < 1:
            raise ModelError("the model card in the file cannot be read; export the model again")
        if schema > SCHEMA_VERSION:
            raise ModelError(
                f"the model card has schema {schema}, newer than this version reads; upgrade cmfl-export"
            )
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        fault = next(chain(_faults_of_kind(values), _faults_of_value(values)), None)
        if fault is not None:
            raise ModelError(f"the model card in the file is incomplete ({fault}); export the model again")
        values |= {key: tuple(values[key]) for key in ("outputs", "history") if key in values}
        values |= {key: float(values[key]) for key in ("threshold", "temperature") if key in values}
        return cls(**values)


def _faults_of_kind(values: dict[str, Any]) -> Iterator[str]:
    """Which entries of a card are missing or of another type, in words."""
    for needed in ("name", "architecture", "spectra", "aligned", "outputs", "threshold"):
        if needed not in values:
            yield f"{needed} is missing"
    for key, value in values.items():
        kind, words = _KINDS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            yield f"{key} is not {words}"
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            yield f"{key} is not Unicode text"


def _faults_of_value(values: dict[str, Any]) -> Iterator[str]:
    """Which entries of a card, all of the right type, cannot be, in words."""
    if not values["name"].strip() or len(values["name"]) > _LONGEST_NAME:
        yield f"name must have 1 to {_LONGEST_NAME} characters"
    if values["spectra"] not in ARCHITECTURES.get(values["architecture"], ()):
        yield f"no network is {values['architecture'][:20]!r} {values['spectra'][:20]!r}"
    if values.get("precision", "fp32") not in PRECISIONS:
        yield f"precision is not one of {', '.join(PRECISIONS)}"
    outputs = values["outputs"]
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in outputs):
        yield "outputs is not a list of names"
    if not 0 <= values["threshold"] <= 1:
        yield f"threshold is {values['threshold']:g}, not within 0 and 1"
    if not values.get("temperature", 1.0) > 0:
        yield f"temperature is {values['temperature']:g}, not greater than 0"
    if not all(isinstance(item, dict) for item in values.get("history", ())):
        yield "history is not a list of objects"
    if not all(isinstance(item, str) for item in values.get("versions", {}).values()):
        yield "versions has other values than texts"
    try:
        base64.b64decode(values.get("calibration", {}).get("subjects", ""), validate=True)
    except (ValueError, TypeError):
        yield "the subjects of its calibration are not base64"


_TEXT, _NUMBER, _LIST, _OBJECT = (
    (str, "a text"),
    ((int, float), "a finite number"),
    ((list, tuple), "a list"),
    (dict, "an object"),
)
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("name", "architecture", "spectra", "threshold_source", "data", "precision"), _TEXT),
    **dict.fromkeys(("weights_sha256", "licence", "intended_use", "input", "labels"), _TEXT),
    **dict.fromkeys(("threshold", "temperature"), _NUMBER),
    **dict.fromkeys(("outputs", "history"), _LIST),
    **dict.fromkeys(("calibration", "training", "metrics", "parity", "versions"), _OBJECT),
    **dict.fromkeys(("aligned", "portable"), (bool, "true or false")),
    "schema": (int, "a whole number"),
}


def _storable(value: Any) -> Any:
    """The value as JSON has it: null for what could not be measured (NaN), and text that is Unicode."""
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        # A byte of a file name that is not UTF-8 is written out, as \udcff.
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def temper(p_real: float, temperature: float) -> float:
    """A probability after temperature scaling (Guo et al., ICML 2017): sigmoid(logit(p) / T)."""
    if temperature == 1.0 or not 0.0 < p_real < 1.0:
        return p_real
    opposite = (math.log1p(-p_real) - math.log(p_real)) / temperature
    # Beyond 700 the exponential leaves the range of a float, and the result is 0 to all of its digits.
    return 1.0 / (1.0 + math.exp(min(opposite, 700.0)))


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
            yield from _flatten(
                {str(number): item for number, item in enumerate(value, 1)}, f"{prefix}{key}."
            )
        elif isinstance(value, (list, tuple)):
            yield prefix + key, _one_line(", ".join(map(str, value)))
        else:
            yield prefix + key, "-" if value == {} else _one_line(str(value))


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"
