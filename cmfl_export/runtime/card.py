"""ModelCard: the description of an exported model, stored as JSON in the metadata of its ONNX file."""

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
from ..base.options import USUAL_RESOLUTION
from ..base.text_formats import FormatError, load_json
from .decision import DecisionRule
from .domain import ARRAYS, Domain

METADATA_KEY = "cmfl"
SCHEMA_VERSION = 2
MOST_CARD_BYTES = 4 * 1024 * 1024  # mostly hashes of the subjects in a calibration's data
_LONGEST_NAME = 200
_MOST_RESOLUTION = 100_000

PRECISIONS = ("fp32", "fp16", "int8")

INPUT_CONTRACT = "image: uint8 [batch, 224, 224, 3], RGB, one aligned face crop per image; batch is dynamic"
LABEL_CONVENTION = (
    "scores are P(real): 1 = real (bona fide), 0 = synthetic (attack); real when "
    "sigmoid(logit(p_real) / temperature) >= threshold"
)
BAND_CONVENTION = (
    "scores are P(real): 1 = real (bona fide), 0 = synthetic (attack); of p = sigmoid(logit(p_real) / "
    "temperature) and the band (low, high): real when p >= high, synthetic when p < low, else uncertain"
)
INTENDED_USE = (
    "Evidence on whether an aligned face photograph is synthetic, for research and for review by a person. "
    "A score is evidence and not proof; it says nothing about generators unlike those in the training data."
)


@dataclass(frozen=True)
class ModelCard:
    """The description of an exported model.

    Attributes:
        name, architecture, spectra, precision: the network and the precision of its weights.
        aligned: whether the model was trained on aligned face crops (see `cmfl_export.images`).
        outputs: the names of the graph's outputs, in order.
        threshold, temperature: the threshold applies to p_real after the temperature (see `calibrated`).
        band: low and high; from `high` on an image is real, below `low` synthetic, between uncertain. None
            leaves two decisions. The threshold lies within.
        threshold_source: how the threshold, and the band if there is one, were chosen, in words.
        calibration: the data that both were chosen on; `history` keeps earlier calibrations.
        minimum_resolution: the fewest pixels of a face, by the shorter side of its box in the picture, that
            the model is meant for; None leaves it to `DetectorOptions`.
        domain: what the training images look like to the model, see `domain.Domain`.
        training: the training configuration.
        data, metrics: the training data and its results.
        portable: whether every CPU computes the same from the 8-bit weights (see `portability`). In a card
            that was read from a file, this is computed from the file's weights.
        parity: the results of the check that the export ran.
        versions: the versions of the libraries that made the file.
        weights_sha256: the SHA-256 of the weights that were exported.
        licence, intended_use, input, labels: texts for people.
        schema: the version of this format.
    """

    name: str
    architecture: str
    spectra: str
    aligned: bool
    outputs: tuple[str, ...]
    threshold: float = 0.5
    # The schema stays: a reader that knows no band passes over it, and decides by the threshold. As that lies
    # within the band, such a reader answers where this one is uncertain, but contradicts no other decision.
    band: tuple[float, float] | None = None
    threshold_source: str = "default 0.5, not calibrated"
    temperature: float = 1.0
    calibration: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()
    # As with a band: a reader that does not know it passes over it.
    minimum_resolution: int | None = None
    domain: dict[str, Any] = field(default_factory=dict)
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

    @property
    def needed_resolution(self) -> int:
        """`minimum_resolution`, or the usual one where the card has none."""
        return USUAL_RESOLUTION if self.minimum_resolution is None else self.minimum_resolution

    def calibrated(self, p_real: float) -> float:
        """The graph's p_real after temperature scaling, to which the threshold applies."""
        return temper(p_real, self.temperature)

    @property
    def rule(self) -> DecisionRule:
        """What decides on a calibrated score."""
        return DecisionRule(self.threshold, self.band)

    def decide(self, p_real: float) -> str:
        """The decision on the graph's p_real, by the card's rule after its temperature."""
        return self.rule.decide(self.calibrated(p_real))

    def to_json(self, *, ascii: bool = False) -> str:
        """The card as JSON; with `ascii` all other characters are escaped, as a terminal may need."""
        return json.dumps(_storable(self._values()), ensure_ascii=ascii, sort_keys=True, allow_nan=False)

    def items(self) -> dict[str, str]:
        """The card's values as texts by name. Nested names have dots, and no value is blank."""
        values = self._values()
        # These are hashes that only `refuse_overlap` uses.
        if isinstance(values["calibration"], dict):
            values["calibration"].pop("subjects", None)
        if isinstance(values["domain"], dict):
            values["domain"].pop(ARRAYS, None)
        return dict(_flatten(values))

    def _values(self) -> dict[str, Any]:
        """The values by name; without those that a card need not have, where they are None."""
        values = asdict(self)
        return {key: value for key, value in values.items() if key not in _OPTIONAL or value is not None}

    def lines(self) -> list[str]:
        """The `items` in aligned columns, one per line."""
        flat = self.items()
        width = max(map(len, flat))
        return [f"{key:<{width}}  {value}" for key, value in flat.items()]

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Reads a card from JSON and checks every value in it, because the text may come from anywhere.

        Raises:
            ModelError: the text is not a card, its schema is newer than this version reads, or a value is
                impossible.
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
                f"the model card has schema {schema}, newer than this version can read; upgrade cmfl-export"
            )
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        for name in _OPTIONAL:
            if values.get(name) is None:
                values.pop(name, None)
        fault = next(chain(_faults_of_kind(values), _faults_of_value(values)), None)
        if fault is not None:
            raise ModelError(f"the model card in the file is incomplete ({fault}); export the model again")
        values |= {key: tuple(values[key]) for key in ("outputs", "history") if key in values}
        if "band" in values:
            values["band"] = tuple(map(float, values["band"]))
        values |= {key: float(values[key]) for key in ("threshold", "temperature") if key in values}
        return cls(**values)


def _faults_of_kind(values: dict[str, Any]) -> Iterator[str]:
    """Yields the entries of a card that are missing or have a wrong type, in words."""
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
    """Yields the entries of a card that have an impossible value, in words; all have the right type."""
    if not values["name"].strip() or len(values["name"]) > _LONGEST_NAME:
        yield f"name must have 1 to {_LONGEST_NAME} characters"
    if values["spectra"] not in ARCHITECTURES.get(values["architecture"], ()):
        yield f"no network is {values['architecture'][:20]!r} {values['spectra'][:20]!r}"
    if values.get("precision", "fp32") not in PRECISIONS:
        yield f"precision is not one of {', '.join(PRECISIONS)}"
    outputs = values["outputs"]
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in outputs):
        yield "outputs is not a list of names"
    yield from _faults_of_numbers(values)
    if not all(isinstance(item, dict) for item in values.get("history", ())):
        yield "history is not a list of objects"
    if not all(isinstance(item, str) for item in values.get("versions", {}).values()):
        yield "versions has values that are not texts"
    try:
        base64.b64decode(values.get("calibration", {}).get("subjects", ""), validate=True)
    except (ValueError, TypeError):
        yield "the subjects of its calibration are not base64"
    try:
        if values.get("domain"):
            Domain.from_card(values["domain"])
    except ValueError as error:
        yield f"its domain: {error}"


def _faults_of_numbers(values: dict[str, Any]) -> Iterator[str]:
    if not 0 <= values["threshold"] <= 1:
        yield f"threshold is {values['threshold']:g}, not within 0 and 1"
    if "band" in values and not _is_band(values["band"], values["threshold"]):
        yield "band is not two numbers within 0 and 1 with the threshold between them"
    if not values.get("temperature", 1.0) > 0:
        yield f"temperature is {values['temperature']:g}, not greater than 0"
    if not 0 <= values.get("minimum_resolution", 0) <= _MOST_RESOLUTION:
        yield f"minimum_resolution is {values['minimum_resolution']}, not within 0 and {_MOST_RESOLUTION}"


def _is_band(band: Any, threshold: float) -> bool:
    if len(band) != 2 or any(isinstance(end, bool) or not isinstance(end, int | float) for end in band):
        return False
    low, high = band
    return bool(0 <= low <= threshold <= high <= 1)


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
    **dict.fromkeys(("outputs", "history", "band"), _LIST),
    **dict.fromkeys(("calibration", "domain", "training", "metrics", "parity", "versions"), _OBJECT),
    **dict.fromkeys(("aligned", "portable"), (bool, "true or false")),
    **dict.fromkeys(("schema", "minimum_resolution"), (int, "a whole number")),
}
_OPTIONAL = ("band", "minimum_resolution")


def _storable(value: Any) -> Any:
    """The value as JSON can store it: None for a number that is not finite, and valid Unicode text."""
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        # A byte of a file name that is not UTF-8 is written out, such as \udcff.
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def temper(p_real: float, temperature: float) -> float:
    """A probability after temperature scaling (Guo et al., ICML 2017): sigmoid(logit(p) / T)."""
    if temperature == 1.0 or not 0.0 < p_real < 1.0:
        return p_real
    opposite = (math.log1p(-p_real) - math.log(p_real)) / temperature
    # Beyond 700 the exponential overflows a float, and the result is 0 in all of its digits.
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
