"""Writing TOML, which the standard library only reads.

A list stays on one line, as [value, low, high] in a manifest should: tomli-w, the usual library, gives each
item a line of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def toml_table(values: Mapping[str, Any]) -> str:
    """The pairs of one table, one per line: texts, numbers, truth values, and lists of these."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items())


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """What JSON writes of these is TOML, except that TOML wants one more character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
