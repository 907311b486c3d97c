"""Where models are: in the package, in the user's own folder, on a mirror."""

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
    """The folder of the models that come with the installation."""
    return Path(str(resources.files("models_zoo")))


def own_models() -> Path:
    """The user's own models, one folder each: added, or pulled from a mirror."""
    return cache_folder() / "models"


def pulled_weights(sha256: str) -> Path:
    """The folder of pulled weights with this content; two versions of a model cannot get mixed up."""
    return cache_folder() / "weights" / sha256


def mirror(given: str | None = None) -> Path | str | None:
    """The mirror: `given`, else CMFL_ZOO; a folder as a Path, an http or https address as a text without / at
    its end, None where neither is set.

    Raises:
        CmflError: it is neither an address nor a folder.
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
                f"{origin}{text} is no mirror; give a folder, or an https, http or file address"
            )
        text = url2pathname(parts.path)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise DownloadError(f"{origin}{folder} is not a folder; give one laid out like models_zoo/")
    return folder


def within(place: Path | str, *names: str) -> Path | str:
    """What lies in a mirror under these names, which are safe ones."""
    if isinstance(place, Path):
        return place.joinpath(*names)
    parts = urlsplit(place)
    path = "/".join([parts.path.rstrip("/"), *map(quote, names)])
    return urlunsplit(parts._replace(path=path))
