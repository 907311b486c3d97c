"""Prints a report as Markdown tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contenders import FOLDER
from .measuring import Result
from .report import BenchReport

_NONE = "-"


def lines(report: BenchReport) -> list[str]:
    """Returns the run as text: Markdown tables of at most 80 columns, then failures and notes."""
    return _training_lines(report) if report.training else _inference_lines(report)


def _inference_lines(report: BenchReport) -> list[str]:
    """Returns a table of images/s per contender, a table of its other figures, then failures and notes."""
    sizes = report.settings["batch_sizes"]
    columns = ["images/s", *(f"b{size}" for size in sizes), FOLDER, "x loop", "spread", "limit"]
    rates = [
        [
            result.contender.name,
            *(rate_text(result.rate(f"batch {size}")) for size in sizes),
            rate_text(result.rate(FOLDER)),
            _text(report.times_the_loop(result), "{:.2f}"),
            _text(report.spread(result), "±{:.0f} %", 100),
            _text(report.share(result), "{:.0f} %", 100),
        ]
        for result in report.results
    ]
    others = [_other_figures(report, result) for result in report.results]
    more = ["", "p50 ms", "p99 ms", "start s", "MB", "max Δp", "flips"]
    return [
        *head(report.machine, report.settings),
        *_limits(report),
        "",
        *markdown([columns, *rates]),
        "",
        *markdown([more, *others]),
        "",
        *_comparison(report),
        *_tail(report),
    ]


def _training_lines(report: BenchReport) -> list[str]:
    """Returns a table of images/s of training steps and of the loader, alone and together."""
    columns = ["images/s", "alone", "+loader", "share", "x plain", "spread", "limit", "MB"]
    rows = [
        [
            result.contender.name,
            rate_text(result.rate("step") or result.rate("loader")),
            rate_text(result.rate("fed")),
            _text(report.loader_share(result), "{:.0f} %", 100),
            _text(report.times_plain(result), "{:.2f}"),
            _text(report.spread(result), "±{:.0f} %", 100),
            _text(report.share(result), "{:.0f} %", 100),
            _megabytes(result),
        ]
        for result in report.results
    ]
    about = [*head(report.machine, report.settings), *_limits(report)]
    return [*about, "", *markdown([columns, *rows]), *_tail(report)]


def markdown(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Returns a Markdown table with aligned columns: the first row is its header, numbers are flush right.

    Args:
        rows: cells.
        left: how many columns, from the first, are flush left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        placed = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(placed) + " |"

    ends = ("-" if column < left else ":" for column in range(len(widths)))
    rule = "|" + "|".join("-" * (width + 1) + end for width, end in zip(widths, ends, strict=True)) + "|"
    return [line(rows[0]), rule, *map(line, rows[1:])]


def rate_text(rate: float | None) -> str:
    """Returns a rate with one decimal, without one from 100 on."""
    return _text(rate, "{:.0f}" if rate is not None and rate >= 99.95 else "{:.1f}")


def _text(value: float | None, form: str, scale: float = 1.0) -> str:
    """Returns a number in a form such as "{:.0f} %"; a dash for None."""
    return _NONE if value is None else form.format(scale * value)


def _megabytes(result: Result) -> str:
    return _text(result.about.get("peak_bytes"), "{:.0f}", 1e-6)


def _other_figures(report: BenchReport, result: Result) -> list[str]:
    latency, difference = report.latency(result), report.difference(result)
    return [
        result.contender.name,
        _NONE if latency is None else f"{1e3 * latency.p50:.1f}",
        _NONE if latency is None else f"{1e3 * latency.p99:.1f}",
        _text(report.start_up(result), "{:.1f}"),
        _megabytes(result),
        _NONE if difference is None else f"{difference.max_abs_p:.1e}",
        _NONE if difference is None else f"{difference.flips}/{difference.compared}",
    ]


def head(machine: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Returns lines about the machine and the settings of a run."""
    place = [machine["cpu"], f"{settings['threads'] or machine['cores']} threads"]
    if machine["gpu"]:
        place.append(machine["gpu"])
    lines = [
        "; ".join(place),
        f"{settings['images']}; median of {settings['rounds']} rounds of {settings['seconds']:g} s each",
    ]
    if machine["load_before"] is not None and machine["load_before"] > 0.5:
        lines.append(f"other programs were running (load {machine['load_before']:.1f}); the figures are low")
    return lines


def _limits(report: BenchReport) -> list[str]:
    limits = []
    for gpu, device in ((False, "CPU"), (True, "GPU")):
        found = {
            precision: limit.rate for (on_gpu, precision), limit in report.limits.items() if on_gpu == gpu
        }
        if not found:
            continue
        rates = ", ".join(f"{precision} {rate / 1e9:.0f}" for precision, rate in found.items())
        limits.append(f"limit of the {device} in matrix products: {rates} GFLOP/s")
        if report.work is not None:
            most = ", ".join(f"{name} {rate_text(rate / report.work)}" for name, rate in found.items())
            limits.append(f"at {report.work / 1e9:.1f} GFLOP per image these are: {most} images/s")
    return limits


def _comparison(report: BenchReport) -> list[str]:
    """Compares the fastest model, from files to scores, with the reference and the loop."""
    models = [result for result in report.results if result.contender.kind == "model" and result.rate(FOLDER)]
    reference = report.reference
    if not models or reference is None:
        return []
    best = max(models, key=lambda result: result.rate(FOLDER) or 0.0)
    against = [
        f"{(best.rate(FOLDER) or 0.0) / base:.2f} times {other.contender.name}"
        for other in (reference, report.loop)
        if other is not None and other is not best and (base := other.rate(FOLDER))
    ]
    if not against:
        return []
    return [f"fastest from files to scores: {best.contender.name},", f"  {' and '.join(against)}"]


def _tail(report: BenchReport) -> list[str]:
    return [*failures([*report.results, *report.products]), *report.notes]


def failures(results: Sequence[Result]) -> list[str]:
    """Returns a line for each measure that a contender has not."""
    return [
        f"{result.contender.name}: {'does not load' if name == 'load' else f'no {name}'}: {reason}"
        for result in results
        for name, reason in result.failures.items()
    ]
