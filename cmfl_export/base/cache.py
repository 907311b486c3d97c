"""The user's cache folder, for files that can be made or downloaded again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "CMFL_CACHE"


def cache_folder() -> Path:
    """The user's cache folder: CMFL_CACHE if set, else `cmfl-export` in the system's folder for caches."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(_home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(_home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG specification says to ignore a relative path.
        if not Path(base).is_absolute():
            base = str(_home() / ".cache")
    return Path(base) / "cmfl-export"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # The user has no home, as in some containers: writing below this path fails with a clear error. In a
        # folder that others can write to, they could replace packaged models.
        return Path(os.devnull)
