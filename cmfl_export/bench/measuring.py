"""Measures all contenders in turn, round by round, so that other load on the machine affects all alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .contenders import START_UP, Contender
from .process import ContenderError, Worker
from .start_up import first_row_seconds

log = logging.getLogger("cmfl.bench")


@dataclass(frozen=True)
class Sample:
    """One measurement: an amount (images, or operations of a matrix product), and the seconds it took.

    `times` are the seconds of each repetition; `busy_cores` is the number of cores that the contender's
    threads still used afterwards, which the next contender lacked.
    """

    amount: float
    seconds: float
    times: tuple[float, ...] = ()
    busy_cores: float = 0.0

    @property
    def rate(self) -> float:
        """The amount per second."""
        return self.amount / self.seconds


@dataclass
class Result:
    """All measurements of a contender.

    Attributes:
        samples: by measure, one per round.
        about: facts from loading it: `load_seconds`, `peak_bytes` (of a process that has loaded it and scored
            the images once), `scores` and others.
        failures: why there is no figure, by measure; "load" stands for all measures.
    """

    contender: Contender
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def rates(self, measure: str) -> list[float]:
        """Amounts per second, one per round."""
        return [sample.rate for sample in self.samples.get(measure, [])]

    def rate(self, measure: str) -> float | None:
        """The median of `rates`."""
        rates = self.rates(measure)
        return float(np.median(rates)) if rates else None


def measure(
    contenders: Sequence[Contender],
    *,
    seconds: float,
    rounds: int,
    threads: int | None,
    images: Sequence[str],
    compared: int,
) -> list[Result]:
    """Loads all contenders, each in its own process, and measures them in turn.

    A round goes through the measures, and for each measure through the contenders, so that figures that are
    compared are taken right after each other. The result of a contender that fails has the reason.

    Args:
        contenders: what to measure.
        seconds: duration of one measurement, which is at least one whole repetition.
        rounds: how often each measurement is taken.
        threads: CPU threads of each contender; None is all cores.
        images: paths to measure with; empty for training, which has its own.
        compared: number of images that each exported model scores before the first round.
    """
    results = [Result(contender) for contender in contenders]
    measures = list(dict.fromkeys(name for contender in contenders for name in contender.measures))
    with ExitStack() as stack:
        workers: dict[int, Worker] = {}
        for number, result in enumerate(results):
            log.info("loading %s (%d of %d)", result.contender.name, number + 1, len(results))
            given = {"threads": threads, "images": list(images), "compared": compared}
            worker = stack.enter_context(Worker(result.contender, threads))
            try:
                result.about = worker.load(given)
                workers[number] = worker
            except ContenderError as failure:
                result.failures["load"] = str(failure)
        for turn in range(rounds):
            start = time.perf_counter()
            for name in measures:
                for number, worker in workers.items():
                    _measure_once(results[number], worker, name, seconds, threads, images)
            log.info("round %d of %d: %.0f s", turn + 1, rounds, time.perf_counter() - start)
    return results


def _measure_once(
    result: Result, worker: Worker, name: str, seconds: float, threads: int | None, images: Sequence[str]
) -> None:
    contender = result.contender
    if name not in contender.measures or name in result.failures:
        return
    try:
        if name == START_UP:
            options = contender.options
            taken = first_row_seconds(options["model"], options["provider"], threads, images[0])
            sample = Sample(1, taken)
        else:
            answer = worker.measure(name, seconds)
            sample = Sample(answer["amount"], answer["seconds"], tuple(answer["times"]), answer["busy_cores"])
        result.samples.setdefault(name, []).append(sample)
    except ContenderError as failure:
        # A figure from fewer rounds would look like the others.
        result.failures[name] = str(failure)
        result.samples.pop(name, None)
