"""The report of `cmfl bench --serve`: figures that follow from the measurements, as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .contenders import FOLDER, clients_of
from .measuring import Result
from .report import Difference, Latency, difference, spread_of, summary
from .table import failures, head, markdown, rate_text

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ServingReport:
    """The measurements of a run.

    Attributes:
        machine: see `machine.describe`.
        settings: the options of the run, and `images` in words.
        results: of `predict` and of the server, in turn.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    results: Sequence[Result]

    @property
    def ok(self) -> bool:
        """Whether every contender has all of its figures."""
        return not any(result.failures for result in self.results)

    @property
    def pairs(self) -> Iterator[tuple[Result, Result]]:
        """`predict` and the server with the same model and backend."""
        return zip(self.results[::2], self.results[1::2], strict=True)

    def share(self, predict: Result, server: Result, measure: str) -> float | None:
        """The rate of the server against that of `predict` in the same round: the median over the rounds."""
        rates = zip(server.rates(measure), predict.rates(FOLDER), strict=False)
        found = [served / direct for served, direct in rates]
        return float(np.median(found)) if found else None

    def latency(self, server: Result, measure: str) -> Latency | None:
        """The latency of the requests of all rounds."""
        times = [seconds for sample in server.samples.get(measure, []) for seconds in sample.times]
        return Latency.of(times) if times else None

    def difference(self, predict: Result, server: Result) -> Difference | None:
        """The scores of the server against those of `predict`."""
        return difference(server, predict)

    def to_json(self) -> str:
        """Every figure and every round as JSON. Rates are images/s."""
        record = {
            "schema": SCHEMA_VERSION,
            "machine": self.machine,
            "settings": self.settings,
            "models": [self._record(predict, server) for predict, server in self.pairs],
        }
        return json.dumps(record, indent=1) + "\n"

    def _record(self, predict: Result, server: Result) -> dict[str, Any]:
        found = self.difference(predict, server)
        return {
            "name": predict.contender.name,
            "precision": predict.contender.precision,
            "options": predict.contender.options,
            "provider": server.about.get("provider"),
            "difference": None if found is None else asdict(found),
            "predict": {name: summary(name, samples) for name, samples in predict.samples.items()},
            "server": {
                name: summary(name, samples)
                | {
                    "share_of_predict": self.share(predict, server, name),
                    "latency_seconds": None if latency is None else asdict(latency),
                }
                for name, samples in server.samples.items()
                for latency in [self.latency(server, name)]
            },
            "failures": predict.failures | server.failures,
        }


def serving_lines(report: ServingReport) -> list[str]:
    """Returns the run as text: a Markdown table of at most 80 columns for each model, then failures."""
    lines = head(report.machine, report.settings)
    for predict, server in report.pairs:
        rows = [["predict", rate_text(predict.rate(FOLDER)), "1.00", _spread(predict, FOLDER), "-", "-"]]
        for name in server.contender.measures:
            share, latency = report.share(predict, server, name), report.latency(server, name)
            rows.append(
                [
                    "1 client" if clients_of(name) == 1 else name,
                    rate_text(server.rate(name)),
                    "-" if share is None else f"{share:.2f}",
                    _spread(server, name),
                    *(
                        ["-", "-"]
                        if latency is None
                        else [f"{1e3 * latency.p50:.0f}", f"{1e3 * latency.p99:.0f}"]
                    ),
                ]
            )
        columns = [predict.contender.name, "images/s", "x predict", "spread", "p50 ms", "p99 ms"]
        lines += ["", *markdown([columns, *rows])]
        found = report.difference(predict, server)
        if found is not None:
            lines.append(f"max Δp {found.max_abs_p:.1e}, {found.flips} of {found.compared} decisions differ")
    return [*lines, *failures(report.results)]


def _spread(result: Result, measure: str) -> str:
    found = spread_of(result.rates(measure))
    return "-" if found is None else f"±{100 * found:.0f} %"
