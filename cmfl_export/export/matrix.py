"""The parity matrix: the scores of every file in every runtime, beside those of the network in float64."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..base.tables import aligned
from ..base.text import counted
from .differences import or_none


@dataclass(frozen=True)
class Row:
    """One file in one runtime.

    Attributes:
        runtime, precision: how it ran; the precision is the file's, with its name where two have the same.
        max, mean, p999: of |Δp| over all images and heads, against the reference; p999 is the 99.9th
            percentile.
        flips: images with another decision of the joint head, by the card's rule.
        own_max, own_flips: against the same file in ONNX Runtime unoptimised, which computes every node as it
            is written: what the runtime adds to the precision's own difference.
        heads: the largest |Δp| against the reference by head.
        tolerance: the largest |Δp| that is allowed against the reference.
        error: why there is no figure; else "".
    """

    runtime: str
    precision: str
    tolerance: float
    max: float | None = None
    mean: float | None = None
    p999: float | None = None
    flips: int | None = None
    own_max: float | None = None
    own_flips: int | None = None
    heads: dict[str, float] | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ran and agrees within the tolerance."""
        # Written so that a NaN fails.
        return not self.error and self.max is not None and self.max <= self.tolerance

    @property
    def summary(self) -> str:
        """The largest difference, or the error, as text."""
        return self.error or f"max |Δp| {self.max:.1e}, {self.flips} decisions differ"


@dataclass(frozen=True)
class Matrix:
    """What `verify_everywhere` found.

    Attributes:
        machine: see `runtime.machine.describe`.
        reference: what the scores are compared with, in words.
        models: the files, by precision: name, SHA-256 and whether every CPU computes the same from it.
        images: how many images were compared.
        failed: images that could not be used, with the reason.
        rows: one per file and runtime.
        missing: the runtimes that do not load here, with the reason.
    """

    machine: dict[str, Any]
    reference: str
    models: dict[str, dict[str, Any]]
    images: int
    failed: dict[str, str]
    rows: tuple[Row, ...]
    missing: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every file agrees with the reference in every runtime that loads."""
        return all(row.ok for row in self.rows)

    def lines(self) -> list[str]:
        """The matrix as text: the machine, a table, and notes."""
        table: list[Sequence[str]] = [
            ("runtime", "file", "max |Δp|", "mean |Δp|", "99.9 %", "flips", "own max", "own flips", "")
        ]
        table += [_cells(row) for row in self.rows]
        machine = self.machine
        sets = ", ".join(machine["instruction_sets"]) or "no instruction set that matters is known"
        place = f"{machine['cpu']} ({sets}), {machine['cores']} cores"
        gpu = machine.get("gpu")
        faults = [f"{row.runtime} {row.precision}: {row.error}" for row in self.rows if row.error]
        worst = max((row.max for row in self.rows if row.max is not None), default=None)
        return [
            place + (f"; {gpu}" if gpu else ""),
            f"against {self.reference}",
            *aligned(table, numbers=range(2, 8)),
            *(f"could not be used: {path}: {why}" for path, why in self.failed.items()),
            *faults,
            *(f"not here: {name}: {why}" for name, why in self.missing.items()),
            f"{'parity holds' if self.ok else 'PARITY DOES NOT HOLD'} in "
            f"{counted(len(self.rows), 'combination')} on {counted(self.images, 'image')}"
            + ("" if worst is None else f", max |Δp| {worst:.2e}"),
        ]

    def to_json(self) -> str:
        """The matrix as JSON; a figure that is NaN or infinite is null."""
        rows = [
            {key: or_none(value) for key, value in asdict(row).items()} | {"ok": row.ok} for row in self.rows
        ]
        return json.dumps({"ok": self.ok} | asdict(self) | {"rows": rows}, indent=2, allow_nan=False) + "\n"


def _cells(row: Row) -> Sequence[str]:
    if row.max is None or row.mean is None or row.p999 is None:
        return (row.runtime, row.precision, *["-"] * 6, "FAIL")
    own = ("-", "-") if row.own_max is None else (f"{row.own_max:.1e}", str(row.own_flips))
    figures = (f"{row.max:.1e}", f"{row.mean:.1e}", f"{row.p999:.1e}", str(row.flips))
    return (row.runtime, row.precision, *figures, *own, "ok" if row.ok else "FAIL")
