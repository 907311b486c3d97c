"""ModelCard: what an exported file says about itself, stored as JSON in the ONNX metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .errors import CmflError

METADATA_KEY = "cmfl"
SCHEMA_VERSION = 2

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
    `versions` the libraries that made the file.
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

    def to_json(self) -> str:
        text = json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)
        # A byte of a file name that is not UTF-8 stays the escape that JSON reads back as it was.
        return text.encode("utf-8", "backslashreplace").decode()

    def items(self) -> dict[str, str]:
        """The card for a person, values by name; nested items are named with dots, and no value is blank."""
        values = asdict(self)
        # Hashes, of use to `calibrate.refuse_overlap` alone.
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
        """Reads a card back.

        Raises:
            CmflError: not a card, or one of a newer schema than this version knows.
        """
        try:
            data = json.loads(text)
            schema = int(data["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise CmflError("the model card in the file cannot be read; export the model again") from error
        if schema > SCHEMA_VERSION:
            raise CmflError(
                f"the model card has schema {schema}, newer than this version reads; upgrade cmfl-export"
            )
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            values["outputs"] = tuple(values["outputs"])
            values["threshold"] = float(values["threshold"])
            values["history"] = tuple(values.get("history", ()))
            values["temperature"] = float(values.get("temperature", 1.0))
            if not (math.isfinite(values["temperature"]) and values["temperature"] > 0):
                raise ValueError(f"temperature {values['temperature']}")
            return cls(**values)
        except (KeyError, ValueError, TypeError) as error:
            raise CmflError(
                f"the model card in the file is incomplete ({error}); export the model again"
            ) from error


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
