"""BenchReport: every figure of a run, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .contenders import FOLDER, START_UP
from .figures import Difference, Latency, Limits, difference, latency, limits_of, share, spread
from .measuring import Result, Sample

SCHEMA_VERSION = 1
# Of a training step's arithmetic the forward pass is a third: the backward pass has two products for each.
_TRAINING_FACTOR = 3


@dataclass(frozen=True)
class BenchReport:
    """A run.

    Attributes:
        training: whether steps of training were measured instead of inference.
        machine: see `machine.describe`.
        settings: what was asked for, and `images` in words.
        operations: of one image, forward; None where the package onnx is missing.
        results: the contenders in the order of the table; of exported models the reference comes first.
        products: the matrix products.
        notes: what was left out, and why.
    """

    training: bool
    machine: dict[str, Any]
    settings: dict[str, Any]
    operations: float | None
    results: Sequence[Result]
    products: Sequence[Result]
    notes: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether every contender has all of its figures."""
        return not any(result.failures for result in self.results)

    @property
    def work(self) -> float | None:
        """Operations that an image costs: in training those of the backward pass as well."""
        factor = _TRAINING_FACTOR if self.training else 1
        return None if self.operations is None else factor * self.operations

    @property
    def limits(self) -> Limits:
        return limits_of(self.products)

    @property
    def reference(self) -> Result | None:
        """The first exported model, against which the scores and the rates of others are held."""
        return next((result for result in self.results if result.contender.kind == "model"), None)

    @property
    def loop(self) -> Result | None:
        """The reference-style loop; on the CPU where it was measured there."""
        return next((result for result in self.results if result.contender.kind == "loop"), None)

    def network_measures(self, result: Result) -> list[str]:
        """Its measures of the network alone."""
        return [name for name in result.contender.measures if name.startswith(("batch ", "step"))]

    def share(self, result: Result) -> float | None:
        """What share of the machine's limit the network alone reaches."""
        return share(result, self.network_measures(result), self.work, self.limits)

    def spread(self, result: Result) -> float | None:
        """See `figures.spread`; over all rates of the contender."""
        return spread(result, [name for name in result.contender.measures if name != START_UP])

    def latency(self, result: Result) -> Latency | None:
        """At batch 1."""
        return latency(result.samples.get("batch 1", []))

    def difference(self, result: Result) -> Difference | None:
        """Of its scores from the reference's."""
        return None if self.reference is None else difference(result, self.reference)

    def loader_share(self, result: Result) -> float | None:
        """The part of a training step with the loader that the loader costs."""
        alone, fed = result.rate("step"), result.rate("fed")
        return None if alone is None or fed is None else max(0.0, 1 - fed / alone)

    def start_up(self, result: Result) -> float | None:
        """Median seconds to the first row."""
        samples = result.samples.get(START_UP)
        return float(np.median([sample.seconds for sample in samples])) if samples else None

    def times_the_loop(self, result: Result) -> float | None:
        """End to end, against the reference-style loop."""
        base = None if self.loop is None else self.loop.rate(FOLDER)
        rate = result.rate(FOLDER)
        return None if base is None or rate is None else rate / base

    def to_json(self) -> str:
        """Every figure and every round of it. Rates are images a second, of products operations a second."""
        limits = [
            {"device": "gpu" if gpu else "cpu", "precision": precision} | asdict(limit)
            for (gpu, precision), limit in self.limits.items()
        ]
        record = {
            "schema": SCHEMA_VERSION,
            "training": self.training,
            "machine": self.machine,
            "settings": self.settings,
            "operations_per_image": self.operations,
            "limits": limits,
            "contenders": [self._record(result) for result in self.results],
            "products": [self._record(result) for result in self.products],
            "notes": list(self.notes),
        }
        return json.dumps(record, indent=1) + "\n"

    def _record(self, result: Result) -> dict[str, Any]:
        contender = result.contender
        about = {key: value for key, value in result.about.items() if key not in ("scores", "busy_cores")}
        derived = {
            "share_of_limit": self.share(result),
            "spread": self.spread(result),
            "latency_seconds": _values(self.latency(result)),
            "difference": _values(self.difference(result)),
            "times_the_loop": self.times_the_loop(result),
        }
        if self.training:
            derived["loader_share"] = self.loader_share(result)
        return {
            "name": contender.name,
            "precision": contender.precision,
            "device": "gpu" if contender.on_gpu else "cpu",
            "options": contender.options,
            **about,
            **derived,
            "measures": {name: _summary(name, samples) for name, samples in result.samples.items()},
            "failures": result.failures,
        }


def _summary(name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    unit, values = "per_second", [sample.rate for sample in samples]
    if name == START_UP:
        unit, values = "seconds", [sample.seconds for sample in samples]
    return {
        "unit": unit,
        "median": float(np.median(values)),
        "min": min(values),
        "max": max(values),
        "rounds": values,
        "busy_cores": [round(sample.busy_cores, 3) for sample in samples],
    }


def _values(found: Latency | Difference | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
