"""Writing TOML, which the standard library only reads."""

from __future__ import annotations

import json
from typing import Any


def toml_value(value: Any) -> str:
    """A text, number, truth value or list of them as TOML.

    What JSON writes of these is TOML, except that TOML wants one more character escaped.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
