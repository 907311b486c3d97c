"""The report of a run: every figure that follows from the measurements, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .contenders import FOLDER, PLAIN, START_UP
from .measuring import Result, Sample

SCHEMA_VERSION = 1
# A training step has three times the arithmetic of the forward pass: two more products in the backward pass.
_TRAINING_FACTOR = 3
# A CPU only stores float16; it computes in bfloat16 where the processor can, else in float32.
_STAND_INS = {"fp16": ("bf16", "fp32")}


@dataclass(frozen=True)
class Limit:
    """The highest rate of matrix products in a precision (operations per second), and what reached it."""

    rate: float
    means: str


@dataclass(frozen=True)
class Difference:
    """Scores against the reference's: the largest |Δp|, and how many of `compared` decisions differ."""

    max_abs_p: float
    flips: int
    compared: int


@dataclass(frozen=True)
class Latency:
    """Seconds of single images: median, 99th percentile, and their number."""

    p50: float
    p99: float
    n: int

    @classmethod
    def of(cls, times: Sequence[float]) -> Latency:
        """Returns the latency of images that took these seconds."""
        return cls(float(np.median(times)), float(np.percentile(times, 99)), len(times))


@dataclass(frozen=True)
class BenchReport:
    """The measurements of a run, and all figures that follow from them.

    Attributes:
        training: whether training was measured instead of inference.
        machine: see `machine.describe`.
        settings: the options of the run, and `images` in words.
        operations: operations per image, forward; None if the package onnx is missing.
        results: the contenders in the order of the table; the reference is the first exported model.
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
        """Operations per image; in training those of the backward pass too."""
        factor = _TRAINING_FACTOR if self.training else 1
        return None if self.operations is None else factor * self.operations

    @property
    def limits(self) -> dict[tuple[bool, str], Limit]:
        """The limit for each (on the GPU, precision): the fastest means, by the median over the rounds."""
        found: dict[tuple[bool, str], Limit] = {}
        for result in self.products:
            rate = result.rate("products")
            key = (result.contender.on_gpu, result.contender.precision)
            if rate is not None and (key not in found or rate > found[key].rate):
                found[key] = Limit(rate, str(result.contender.options["means"]))
        return found

    @property
    def reference(self) -> Result | None:
        """The first exported model, with which the scores and rates of others are compared."""
        return next((result for result in self.results if result.contender.kind == "model"), None)

    @property
    def loop(self) -> Result | None:
        """The reference-style loop; the one on the CPU if there are two."""
        return next((result for result in self.results if result.contender.kind == "loop"), None)

    def network_measures(self, result: Result) -> list[str]:
        """The names of its measures of the network alone."""
        return [name for name in result.contender.measures if name.startswith(("batch ", "step"))]

    def limit_for(self, result: Result) -> Limit | None:
        """The machine's limit for a contender; None if it was not measured."""
        gpu, precision = result.contender.on_gpu, result.contender.precision
        computed = (precision,) if gpu else _STAND_INS.get(precision, (precision,))
        return next((self.limits[gpu, name] for name in computed if (gpu, name) in self.limits), None)

    def share(self, result: Result) -> float | None:
        """The share of the machine's limit that the network alone reaches, in its best measure."""
        limit = self.limit_for(result)
        rates = [rate for name in self.network_measures(result) if (rate := result.rate(name)) is not None]
        if limit is None or self.work is None or not rates:
            return None
        return max(rates) * self.work / limit.rate

    def spread(self, result: Result) -> float | None:
        """Half the distance from the slowest to the fastest round, relative to the median.

        Of the rate that varies most; None with fewer than two rounds.
        """
        names = [name for name in result.contender.measures if name != START_UP]
        found = [spread for name in names if (spread := spread_of(result.rates(name))) is not None]
        return max(found, default=None)

    def latency(self, result: Result) -> Latency | None:
        """The latency at batch 1, over all runs of all rounds."""
        times = [time for sample in result.samples.get("batch 1", []) for time in sample.times]
        return Latency.of(times) if times else None

    def difference(self, result: Result) -> Difference | None:
        """Its scores against the reference's, over the images that both scored; None for the reference."""
        reference = self.reference
        return None if reference is None or result is reference else difference(result, reference)

    def loader_share(self, result: Result) -> float | None:
        """The share of a training step's time that the loader costs."""
        alone, fed = result.rate("step"), result.rate("fed")
        return None if alone is None or fed is None else max(0.0, 1 - fed / alone)

    def start_up(self, result: Result) -> float | None:
        """The median of the seconds to the first row."""
        samples = result.samples.get(START_UP)
        return float(np.median([sample.seconds for sample in samples])) if samples else None

    def times_the_loop(self, result: Result) -> float | None:
        """The rate from files to scores, relative to the reference-style loop."""
        base = None if self.loop is None else self.loop.rate(FOLDER)
        rate = result.rate(FOLDER)
        return None if base is None or rate is None else rate / base

    def times_plain(self, result: Result) -> float | None:
        """The rate of training steps, relative to plain eager PyTorch in float32."""
        plain = next((one for one in self.results if one.contender.name == PLAIN), None)
        base, rate = None if plain is None else plain.rate("step"), result.rate("step")
        return None if base is None or rate is None else rate / base

    def to_json(self) -> str:
        """Every figure and every round as JSON. Rates are images/s; those of products are operations/s."""
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
            derived |= {"loader_share": self.loader_share(result), "times_plain": self.times_plain(result)}
        return {
            "name": contender.name,
            "precision": contender.precision,
            "device": "gpu" if contender.on_gpu else "cpu",
            "options": contender.options,
            **about,
            **derived,
            "measures": {name: summary(name, samples) for name, samples in result.samples.items()},
            "failures": result.failures,
        }


def difference(result: Result, reference: Result) -> Difference | None:
    """The scores of a contender against those of another, over the images that both scored."""
    mine, theirs = result.about.get("scores") or [], reference.about.get("scores") or []
    if not mine or not theirs:
        return None
    pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    scores = np.array(pairs)
    decisions = scores >= [result.about["threshold"], reference.about["threshold"]]
    return Difference(
        float(np.abs(scores[:, 0] - scores[:, 1]).max()),
        int((decisions[:, 0] != decisions[:, 1]).sum()),
        len(pairs),
    )


def spread_of(rates: Sequence[float]) -> float | None:
    """Half the distance from the slowest to the fastest, relative to the median; None with fewer than two."""
    return (max(rates) - min(rates)) / 2 / float(np.median(rates)) if len(rates) > 1 else None


def summary(name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """The rounds of a measure as JSON values, with their median and range."""
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
