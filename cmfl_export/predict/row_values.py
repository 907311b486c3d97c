"""Checks the values of result rows read from a file, which any program may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from ..runtime import DECISIONS, GROUPS, SCORE_OUTPUTS, Geometry

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


def flag_in(name: str, text: str) -> bool | None:
    """Returns the flag in a field of csv: true, false, or None if the field is empty.

    Raises:
        ValueError: the field holds anything else.
    """
    if text not in ("", "true", "false"):
        raise ValueError(f"{name} is {text[:_SHOWN]!r}; it must be true, false or empty")
    return text == "true" if text else None


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
    _check_geometry(values)
    _check_domain(values.get("domain"), values.get("out_of_domain"))
    _check_stability(values.get("spread"), values.get("flips"))
    _check_video(values)
    for name in GROUPS["provenance"]:
        if not isinstance(values.get(name), str | None):
            raise ValueError(f"{name} is {_shown(values[name])}; it must be text")


def _check_face(values: Mapping[str, Any]) -> None:
    face, faces, box = values["face"], values["faces"], [values[name] for name in _BOX]
    if not (type(face) is type(faces) is int and 0 <= face < faces):
        raise ValueError(f"face is {_shown(face)} of {_shown(faces)}; both are counts, the first from 0")
    if not all(type(side) in (int, float) and math.isfinite(side) for side in box):
        raise ValueError("the box of the face must be four numbers")


def _check_geometry(values: Mapping[str, Any]) -> None:
    if values.get("geometry") not in (None, *get_args(Geometry)):
        raise ValueError(f"the geometry is {_shown(values['geometry'])}, which is none of cmfl predict")
    for name in ("face_size", "faces_found"):
        number = values.get(name)
        if number is not None and not (type(number) in (int, float) and 0 <= number < math.inf):
            raise ValueError(f"{name} is {_shown(number)}; it must be a number from 0")


def _check_stability(spread: object, flips: object) -> None:
    if spread is not None:
        check_score("spread", spread)
    if flips is not None and not (type(flips) is int and flips >= 0):
        raise ValueError(f"flips is {_shown(flips)}; it must be a whole number")


def _check_video(values: Mapping[str, Any]) -> None:
    time = values.get("time")
    if time is not None and not (type(time) in (int, float) and 0 <= time < math.inf):
        raise ValueError(f"time is {_shown(time)}; it must be a number from 0")
    for name in ("track", "frames", "frames_with_face"):
        number = values.get(name)
        if number is not None and not (type(number) is int and number >= 0):
            raise ValueError(f"{name} is {_shown(number)}; it must be a whole number")
    if values.get("share_synthetic") is not None:
        check_score("share_synthetic", values["share_synthetic"])


def _check_domain(domain: object, outside: object) -> None:
    # Written so that a NaN fails.
    if domain is not None and (
        isinstance(domain, bool) or not (isinstance(domain, int | float) and 0 <= domain <= 100)
    ):
        raise ValueError(f"domain is {_shown(domain)}; it must be a number from 0 to 100")
    if outside is not None and not isinstance(outside, bool):
        raise ValueError(f"out_of_domain is {_shown(outside)}; it must be true or false")
    if (domain is None) != (outside is None):
        raise ValueError("domain and out_of_domain go together")


def _shown(value: object) -> str:
    # Python refuses to print very long whole numbers.
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
