"""Checks the values of result rows read from a file, which any program may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..runtime import DECISIONS, SCORE_OUTPUTS

_BOX = ("left", "top", "right", "bottom")
_SHOWN = 60  # characters of a value in a message


def number_in(name: str, text: str) -> float | None:
    """Returns the number in a field of csv; None if the field is empty.

    Raises:
        ValueError: the field holds anything else.
    """
    if not text:
        return None
    if not text.strip():
        raise ValueError(f"{name} is blank; leave it empty, or give a number from 0 to 1")
    try:
        # float() would read 1_0 as ten.
        return float("_" if "_" in text else text)
    except ValueError as error:
        why = "; write a point and not a comma" if text.count(",") == 1 else ""
        raise ValueError(f"{name} is {text[:_SHOWN]!r}, which is not a number{why}") from error


def check_score(name: str, value: object) -> None:
    """Refuses a value that is not a number from 0 to 1.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {_shown(value)}; it must be a number from 0 to 1")
    # Written so that a NaN fails.
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {_shown(value)}; it must be from 0 to 1")


def check_row(values: Mapping[str, Any]) -> None:
    """Checks types and ranges of the values of a row, by column.

    Raises:
        ValueError: a value is wrong; says which, and what it must be.
    """
    for name in ("path", "status", "error"):
        if not isinstance(values[name], str):
            raise ValueError(f"{name} is {_shown(values[name])}; it must be text")
    for name in SCORE_OUTPUTS:
        if values[name] is not None:
            check_score(name, values[name])
    if values["decision"] not in (None, *DECISIONS):
        raise ValueError(
            f"the decision is {_shown(values['decision'])}; it must be real, synthetic or uncertain"
        )
    if values.get("face") is not None:
        _check_face(values)


def _check_face(values: Mapping[str, Any]) -> None:
    face, faces, box = values["face"], values["faces"], [values[name] for name in _BOX]
    if not (type(face) is type(faces) is int and 0 <= face < faces):
        raise ValueError(f"face is {_shown(face)} of {_shown(faces)}; both are counts, the first from 0")
    if not all(type(side) in (int, float) and math.isfinite(side) for side in box):
        raise ValueError("the box of the face must be four numbers")


def _shown(value: object) -> str:
    # Python refuses to print very long whole numbers.
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
