"""Reads the figures of a model from metrics.json: for the manifest, and as tables for card.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmfl_export.base.errors import ModelError
from cmfl_export.base.text_formats import MOST_JSON_BYTES, load_json, read_bytes
from cmfl_export.metrics import HEADS, LABELS, Interval, figure, percent

from .manifest import Figure, Metrics

# Figures of the joint head in the manifest.
_KEPT = ("d_eer", "bpcer10", "bpcer20", "bpcer100", "apcer", "bpcer", "auc", "ece", "brier")


class Measured:
    """The figures of some weights in a metrics.json."""

    def __init__(self, path: Path, variants: Mapping[str, str]) -> None:
        """Reads the file.

        Args:
            path: metrics.json.
            variants: the variants of the weights by their SHA-256.

        Raises:
            ModelError: not a metrics.json of `cmfl evaluate`, or none of its models is among the weights.
        """
        try:
            document = load_json(read_bytes(path, MOST_JSON_BYTES, "a metrics.json"))
            self.split = document["split"]
            self.models = {
                variants[model["sha256"]]: model
                for model in document["models"]
                if model["sha256"] in variants
            }
            self.metrics = [self._metrics(variant, model) for variant, model in self.models.items()]
            self._text = "\n\n".join(
                self._tables_of(variant, model) for variant, model in self.models.items()
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is not a metrics.json of cmfl evaluate") from error
        if not self.models:
            raise ModelError(
                f"{path} has no figures of these weights (SHA-256); evaluate the files of the folder"
            )

    def tables(self) -> str:
        """Returns the figures as Markdown: heads, attack types, sources and degradations of each variant."""
        return self._text

    def _metrics(self, variant: str, model: Mapping[str, Any]) -> Metrics:
        joint = model["heads"]["p_real"]
        figures: dict[str, Figure] = {}
        for key in _KEPT:
            interval = _interval(joint[key])
            if all(map(math.isfinite, interval)):
                figures[key] = (interval.value, interval.low, interval.high)
        return Metrics(self.split["name"], variant, self.split["n_real"], self.split["n_attack"], figures)

    def _tables_of(self, variant: str, model: Mapping[str, Any]) -> str:
        split, heads = self.split, model["heads"]
        parts = [
            f"### {split['name']}, {variant}",
            f"{split['n_real']} real and {split['n_attack']} synthetic images of {split['subjects']} "
            f"subjects, threshold {model['threshold']:.4g} ({model['threshold_source']}); brackets are 95 % "
            "intervals of the bootstrap.",
            markdown(
                ["", *(HEADS[head] for head in heads)],
                [
                    [label, *(figure(key, _interval(values[key])) for values in heads.values())]
                    for key, label in LABELS.items()
                ],
            ),
            _groups("attack type", model["attacks"], "apcer"),
            _groups("bona fide source", model["sources"], "bpcer"),
        ]
        if len(model["degradations"]) > 1:
            rates = ("d_eer", "apcer", "bpcer")
            parts.append(
                markdown(
                    ["images", *(LABELS[key] for key in rates)],
                    [
                        [condition["label"], *(figure(key, _interval(condition[key])) for key in rates)]
                        for condition in model["degradations"]
                    ],
                )
            )
        return "\n\n".join(parts)


def _groups(title: str, groups: Sequence[Mapping[str, Any]], rate: str) -> str:
    return markdown(
        [title, "images", LABELS[rate], "D-EER"],
        [
            [
                group["name"],
                str(group["images"]),
                figure(rate, _interval(group[rate])),
                percent(_number(group["d_eer"])),
            ]
            for group in groups
        ],
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns a Markdown table, whose first `left` columns are flush left and the others flush right."""
    lines = [head, ["---"] * left + ["---:"] * (len(head) - left), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def _interval(values: Mapping[str, float | None]) -> Interval:
    return Interval(*(_number(values[key]) for key in ("value", "low", "high")))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
