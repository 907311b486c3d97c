"""Finds the places of models: the package, the user's own folder, a mirror."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import url2pathname

from cmfl_export.base.cache import cache_folder
from cmfl_export.base.errors import DownloadError

MIRROR_VARIABLE = "CMFL_ZOO"


def packaged() -> Path:
    """Returns the folder of the models that come with the installation."""
    return Path(str(resources.files("models_zoo")))


def own_models() -> Path:
    """Returns the folder of the user's own models, which were added, or pulled from a mirror."""
    return cache_folder() / "models"


def pulled_weights(sha256: str) -> Path:
    """Returns the folder of pulled weights with this SHA-256, so that versions of a model do not mix."""
    return cache_folder() / "weights" / sha256


def mirror(given: str | None = None) -> Path | str | None:
    """Returns the mirror: `given`, else CMFL_ZOO, else None.

    A folder is a Path; an http or https address is a text without / at its end.

    Raises:
        DownloadError: it is neither an address nor a folder.
    """
    text = given or os.environ.get(MIRROR_VARIABLE)
    if not text:
        return None
    origin = "" if given else f"{MIRROR_VARIABLE}: "
    # One letter before a colon is a drive.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in ("http", "https") and parts.hostname:
            return text.rstrip("/")
        if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
            raise DownloadError(
                f"{origin}{text} is not a mirror; give a folder, or an https, http or file address"
            )
        text = url2pathname(parts.path)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise DownloadError(f"{origin}{folder} is not a folder; give one laid out like models_zoo/")
    return folder


def within(place: Path | str, *names: str) -> Path | str:
    """Returns the path or address in a mirror under these names, which must be safe."""
    if isinstance(place, Path):
        return place.joinpath(*names)
    parts = urlsplit(place)
    path = "/".join([parts.path.rstrip("/"), *(quote(name, safe="") for name in names)])
    return urlunsplit(parts._replace(path=path))
