"""The user's own folder: what can be made or pulled again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "CMFL_CACHE"


def cache_folder() -> Path:
    """The user's folder: CMFL_CACHE, else `cmfl-export` where the system keeps what can be had again."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(_home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(_home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The specification: a relative path there is to be ignored.
        if not Path(base).is_absolute():
            base = str(_home() / ".cache")
    return Path(base) / "cmfl-export"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # A container's user without a home: there is nothing below this, and writing there says so. A folder
        # that others can write to would let them stand in for packaged models.
        return Path(os.devnull)
