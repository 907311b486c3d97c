"""Reads JSON and TOML of untrusted files: bounded in size, depth and digits, without ambiguous content."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from .errors import InputError

MOST_TOML_BYTES = 256 * 1024
MOST_JSON_BYTES = 64 * 1024 * 1024
_MOST_DEPTH = 32  # levels of nesting; files that this toolkit writes have 6
_MOST_KEY_PARTS = 8  # a.b.c has 3; tomllib's memory grows with their square
_MOST_DIGITS = 19  # a 64-bit whole number has no more

# Possessive, and an unclosed string goes to the end of the text, so that the time is linear.
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_TOML_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\\?\Z)|'
    r"'''.*?(?:'''|\Z)|"
    r'"(?:[^"\\\n]|\\.)*+"?|'
    r"'[^'\n]*+'?|"
    r"#[^\n]*+",
    re.DOTALL,
)
_NO_KEY = re.compile(r"[^A-Za-z0-9_.-]+")
_BRACKET = re.compile(r"[\[\]{}]")


class FormatError(ValueError):
    """A text is not valid JSON or TOML. The message is one line, without the file's name."""


def read_bytes(path: Path, most: int, what: str) -> bytes:
    """The content of a file.

    Args:
        most: the largest size, in bytes.
        what: what errors call the file, such as "the configuration".

    Raises:
        InputError: the file cannot be read or is larger.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: the path has a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {path} cannot be read: {reason}") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most} bytes, so it is not {what}")
    return data


def decoded(data: bytes) -> str:
    """The text of UTF-8 bytes, with or without a byte order mark.

    Raises:
        FormatError: the bytes are not UTF-8, or one is zero.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    if "\0" in text:
        raise FormatError("it has a zero byte, so it is not text")
    return text


def load_json(data: bytes | str, most: int = MOST_JSON_BYTES, *, lenient: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        data: the text, or its UTF-8 bytes.
        most: the largest length of `data`.
        lenient: read NaN and Infinity as null; they are not JSON, but Python writes them.

    Raises:
        FormatError: it is not JSON; it is too large or nested too deeply; a number has more than 64 bits or
            is NaN or infinite; or a name occurs twice in one object.
    """
    if len(data) > most:
        raise FormatError(f"it has more than {most} bytes")
    text = data if isinstance(data, str) else decoded(data)
    if text.count("[") + text.count("{") > _MOST_DEPTH:
        _refuse_depth(_JSON_STRING.sub("", text), "JSON")
    try:
        return json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_nothing if lenient else _no_number,
            object_pairs_hook=_without_twins,
        )
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise FormatError(f"not JSON: values are nested more than {_MOST_DEPTH} deep") from error


def load_toml(data: bytes) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
        FormatError: as for `load_json`, or a key has more than 8 parts. TOML allows nan and inf; the caller
            must refuse these, naming the key.
    """
    if len(data) > MOST_TOML_BYTES:
        raise FormatError(f"it has more than {MOST_TOML_BYTES} bytes")
    text = decoded(data)
    bare = _TOML_STRING_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else "s", text)
    # A key may have blanks around its dots; between two keys there is always a separator.
    keys = _NO_KEY.split(bare.replace(" ", "").replace("\t", ""))
    if any(key.count(".") >= _MOST_KEY_PARTS for key in keys):
        raise FormatError(f"not TOML: a key has more than {_MOST_KEY_PARTS} parts between dots")
    _refuse_depth(bare, "TOML")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: thousands of digits
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a number has too many digits"
        raise FormatError(f"not TOML: {reason}") from error
    _refuse_huge(values)
    return values


def _refuse_depth(bare: str, kind: str) -> None:
    """Refuses brackets nested beyond the limit. `bare` is the text without its strings."""
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > _MOST_DEPTH:
            raise FormatError(f"not {kind}: values are nested more than {_MOST_DEPTH} deep")


def _refuse_huge(value: Any) -> None:
    """Refuses whole numbers of more than 64 bits, which TOML may also write in hexadecimal."""
    if isinstance(value, dict):
        for item in value.values():
            _refuse_huge(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_huge(item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FormatError("a whole number has more than 64 bits")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise FormatError(f"a whole number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits) if len(digits) <= 400 else math.inf
    if not math.isfinite(value):
        raise FormatError(f"{digits[:20]} is not a finite number")
    return value


def _no_number(text: str) -> NoReturn:
    raise FormatError(f"{text} is not a finite number")


def _nothing(_text: str) -> None:
    return None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"the name {twice[:60]!r} occurs twice in one object")
    return found
