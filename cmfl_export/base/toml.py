"""Writes TOML, which the standard library only reads.

A list stays on one line, such as [value, low, high] in a manifest; tomli-w, the usual library, puts each item
on its own line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def toml_table(values: Mapping[str, Any]) -> str:
    """The TOML of one table, a pair per line. Values are texts, numbers, truth values or lists of these."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items())


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """The TOML of one value: its JSON, with one more character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
