"""Writes a parity matrix, from the JSON of `cmfl verify --everywhere`, as a table for card.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmfl_export.base.errors import ModelError
from cmfl_export.base.text import counted
from cmfl_export.base.text_formats import MOST_JSON_BYTES, load_json, read_bytes

from .hf_tables import markdown

PARITY = "parity.json"  # the matrix in a model's folder
BEGIN, END = "<!-- parity: begin -->", "<!-- parity: end -->"
_PARITY = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def parity_table(path: Path, weights: Mapping[str, str]) -> str:
    """The matrix as Markdown: the machine, what the scores are compared with, and a row per file and runtime.

    Args:
        path: JSON of `cmfl verify --everywhere`.
        weights: the SHA-256 of the model's files by variant; empty compares none.

    Raises:
        ModelError: it is no such file, or it is about other files.
    """
    try:
        matrix = load_json(read_bytes(path, MOST_JSON_BYTES, "a parity matrix"))
        found = {model["sha256"] for model in matrix["models"].values()}
        text = _table(matrix)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not the JSON of cmfl verify --everywhere") from error
    others = [variant for variant, sha256 in weights.items() if sha256 not in found]
    if others:
        raise ModelError(
            f"{path} is about other files than those in the folder ({', '.join(others)}); run cmfl verify "
            "--everywhere on the folder's files"
        )
    return text


def with_parity(text: str, table: str) -> str:
    """The card.md with this table between its markers, or in a new section at its end."""
    block = f"{BEGIN}\n{table}\n{END}"
    if BEGIN in text:
        return _PARITY.sub(lambda _: block, text)
    return f"{text.rstrip()}\n\n## The same score everywhere\n\n{block}\n"


def _table(matrix: Mapping[str, Any]) -> str:
    machine = matrix["machine"]
    sets = ", ".join(machine["instruction_sets"]) or "no instruction set that matters"
    gpu = f"; {machine['gpu']}" if machine["gpu"] else ""
    place = (
        f"{machine['cpu']} ({sets}){gpu}; {counted(matrix['images'], 'image')}; "
        f"against {matrix['reference']}."
    )
    rows = []
    for row in matrix["rows"]:
        figures = ["-"] * 4
        if not row["error"]:
            figures = [f"{row[key]:.1e}" for key in ("max", "mean", "p999")] + [str(row["flips"])]
        rows.append([row["runtime"], row["precision"], *figures])
    head = ["runtime", "file", "max |Δp|", "mean", "99.9 %", "decisions that differ"]
    return f"{place}\n\n{markdown(head, rows, left=2)}"
