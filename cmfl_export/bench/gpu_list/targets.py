"""The targets of the list, and whether a run has reached them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .driver import DONE, WAITING

REACHED, NOT_REACHED, NO_GPU = "reached", "not reached", "not measured: no GPU"
_CARD = "H100"  # what the targets are for
_NETWORK, _FROM_FILES, _TRAINING, _LEAST_BATCH, _CORES = 4000.0, 0.8, 1000.0, 64, 16


class Target(NamedTuple):
    """One row: what is wanted, what was measured, and the state."""

    wanted: str
    measured: str
    state: str


def targets(record: dict[str, Any]) -> list[Target]:
    """Returns the targets with their states."""
    network = max(rates(record, "fp16", "network", _LEAST_BATCH), default=None)
    files = max(rates(record, "fp16", "files", 1), default=None)
    share = files / network if files and network else None
    trained = max(_training_rates(record), default=None)
    cores = record["machine"].get("cores")
    return [
        _target(
            record,
            f"fp16, network alone, batch {_LEAST_BATCH} or more: at least {_NETWORK:,.0f} images/s",
            network,
            _NETWORK,
            "{:,.0f} images/s",
        ),
        _target(
            record,
            f"fp16 from JPEG files with {_CORES} cores: at least {100 * _FROM_FILES:.0f} % of that",
            share,
            _FROM_FILES,
            f"{{:.0%}} with {cores} cores",
        ),
        _target(
            record,
            f"training, both branches, bf16: at least {_TRAINING:,.0f} images/s",
            trained,
            _TRAINING,
            "{:,.0f} images/s",
        ),
        _all_nodes(record),
        _in_time(record),
    ]


def rates(record: dict[str, Any], precision: str, what: str, least: int) -> Iterator[float]:
    """Yields images/s of a precision on every provider, at batch sizes of at least `least`."""
    for figures in figures_of(record, "rates"):
        if figures["facts"].get("precision") == precision:
            for row in figures["rows"]:
                if row.get("what") == what and row.get("batch", 0) >= least and row.get("rate"):
                    yield row["rate"]


def figures_of(record: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Yields the figures of the steps of a kind, without what is no list of rows."""
    for step in record["steps"]:
        figures = step["figures"]
        if (
            step["kind"] == kind
            and isinstance(figures, dict)
            and isinstance(figures.get("facts"), dict)
            and isinstance(figures.get("rows"), list)
        ):
            yield figures | {"rows": [row for row in figures["rows"] if isinstance(row, dict)]}


def _training_rates(record: dict[str, Any]) -> Iterator[float]:
    for figures in figures_of(record, "training"):
        for row in figures["rows"]:
            # Fed by the loader, as a training is.
            if row.get("network") == "both" and row.get("precision") == "bf16" and row.get("fed"):
                yield row["fed"]


def _target(record: dict[str, Any], wanted: str, value: float | None, least: float, form: str) -> Target:
    if record["settings"]["device"] != "cuda":
        return Target(wanted, "-", NO_GPU)
    if value is None:
        return Target(wanted, "-", "not measured: see the steps")
    gpu = record["machine"].get("gpu") or "an unknown GPU"
    other = "" if _CARD in gpu else f" (the target is for an {_CARD})"
    return Target(wanted, form.format(value) + other, REACHED if value >= least else NOT_REACHED)


def _all_nodes(record: dict[str, Any]) -> Target:
    wanted = "every node on the CUDA provider, or named, counted and explained"
    if record["settings"]["device"] != "cuda":
        return Target(wanted, "-", NO_GPU)
    rows = [row for figures in figures_of(record, "nodes") for row in figures["rows"] if "nodes" in row]
    if not rows:
        return Target(wanted, "-", "not measured: see the steps")
    elsewhere = sum(part["count"] for row in rows for part in row["elsewhere"])
    return Target(wanted, f"{elsewhere} nodes of {len(rows)} models elsewhere, see below", REACHED)


def _in_time(record: dict[str, Any]) -> Target:
    minutes, taken = record["settings"]["minutes"], record["seconds"] / 60
    wanted = f"the whole list within {minutes:g} minutes"
    if record["settings"]["device"] != "cuda":
        return Target(wanted, "-", NO_GPU)
    complete = all(
        step["status"] not in (WAITING,) and step["reason"] != "no time left" for step in record["steps"]
    )
    lost = sum(step["status"] != DONE for step in record["steps"])
    state = REACHED if complete and taken <= minutes else NOT_REACHED
    return Target(wanted, f"{taken:.1f} minutes, {lost} steps without a result", state)
