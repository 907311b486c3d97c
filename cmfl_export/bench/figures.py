"""What follows from the measurements: spread, latency, differences of scores, shares of the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .measuring import Result, Sample

# On a CPU float16 is a way to store; it is computed in bfloat16 where the processor has it.
_STAND_IN = {"fp16": "bf16"}


@dataclass(frozen=True)
class Limit:
    """The highest rate of matrix products of a precision, operations a second, and what reached it."""

    rate: float
    means: str


@dataclass(frozen=True)
class Difference:
    """Scores against the reference's: the largest |Δp|, and how many of `compared` decisions are others."""

    max_abs_p: float
    flips: int
    compared: int


@dataclass(frozen=True)
class Latency:
    """Of single images in seconds: median, 99th percentile, and over how many."""

    p50: float
    p99: float
    n: int


Limits = dict[tuple[bool, str], Limit]


def limits_of(products: Sequence[Result]) -> Limits:
    """The limit for each (on the GPU, precision): the fastest means, by the median over the rounds."""
    found: Limits = {}
    for result in products:
        rate = result.rate("products")
        key = (result.contender.on_gpu, result.contender.precision)
        if rate is not None and (key not in found or rate > found[key].rate):
            found[key] = Limit(rate, str(result.contender.options["means"]))
    return found


def limit_for(result: Result, limits: Limits) -> Limit | None:
    """The limit that a contender is held against, None where it was not measured."""
    gpu, precision = result.contender.on_gpu, result.contender.precision
    stand_in = precision if gpu else _STAND_IN.get(precision, precision)
    return limits.get((gpu, stand_in))


def share(result: Result, measures: Sequence[str], operations: float | None, limits: Limits) -> float | None:
    """What share of its limit the network's arithmetic reaches, in the best of the measures.

    Args:
        operations: of one image.
    """
    limit = limit_for(result, limits)
    rates = [rate for name in measures if (rate := result.rate(name)) is not None]
    if limit is None or operations is None or not rates:
        return None
    return max(rates) * operations / limit.rate


def spread(result: Result, measures: Sequence[str]) -> float | None:
    """Half the distance from the slowest to the fastest round by the median, of the measure that varies most.

    None with fewer than two rounds.
    """
    found = [rates for name in measures if len(rates := result.rates(name)) > 1]
    return max(((max(rates) - min(rates)) / 2 / float(np.median(rates)) for rates in found), default=None)


def latency(samples: Sequence[Sample]) -> Latency | None:
    """Over all single runs of all rounds."""
    times = [time for sample in samples for time in sample.times]
    if not times:
        return None
    return Latency(float(np.median(times)), float(np.percentile(times, 99)), len(times))


def difference(result: Result, reference: Result) -> Difference | None:
    """Its scores against the reference's, over the images that both could score; None for the reference."""
    mine, theirs = result.about.get("scores"), reference.about.get("scores")
    if result is reference or not mine or not theirs:
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
