"""Walks folders and patterns of paths: order, links, and what cannot be walked."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from .foreign import is_foreign, is_video_name

# The endings of the files that a folder yields; a file that the user names is tried with any ending.
EXTENSIONS = (
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
    ),
    *(
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".j2c",
        ".jpc",
        ".avif",
        ".avifs",
    ),
)

# A folder as (device, inode), to notice a folder that contains itself through a symbolic link.
_Identity = tuple[int, int]
# (name, is it a folder)
_Entry = tuple[str, bool]
# A folder, the parts of the pattern to match below it, and the folders that `**` has passed through.
_Search = tuple[str, list[str], frozenset[_Identity]]


def walk(root: str, recursive: bool, takes_video: Callable[[str], bool] = lambda _: False) -> Iterator[str]:
    """Yields the image files below a folder, and the video files that `takes_video` takes."""
    # A stack, because folders may be nested deeper than Python's calls. A level is a folder, its remaining
    # entries, and the identities of this folder and those above it.
    levels: list[tuple[str, Iterator[_Entry], frozenset[_Identity]]] = []

    def enter(folder: str, above: frozenset[_Identity]) -> bool:
        try:
            identity = _identity(folder)
            if identity in above:
                return False
            levels.append((folder, iter(_entries(folder)), above | {identity}))
        except OSError:
            return False
        return True

    if not enter(root, frozenset()):
        yield root
    while levels:
        folder, entries, above = levels[-1]
        for name, is_folder in entries:
            path = _join(folder, name)
            if name.startswith("."):
                continue
            if is_image_name(name) or (is_foreign(name) and not is_folder):
                yield path
            elif is_video_name(name) and not is_folder:
                if takes_video(path):
                    yield path
            elif is_folder and recursive:
                if enter(path, above):
                    break
                yield path
        else:
            levels.pop()


def matches(pattern: str) -> Iterator[str]:
    """Yields the matches of a pattern, in order of name.

    The standard `glob` has no order and follows a link to its own folder forty times. `**` stands for any
    number of folders. It does not look inside a folder that the rest of the pattern matches, because the
    caller walks that folder: so `**/*` gives every picture once.
    """
    # Several `**` in a row count as one: they must not find everything several times.
    written = PurePath(pattern).parts
    parts = [
        part for part, before in zip(written, ("", *written), strict=False) if part != "**" or before != "**"
    ]
    if pattern.endswith("/"):
        # An empty name at the end matches only folders.
        parts.append("")
    pending: list[_Search] = [("", parts, frozenset())]
    while pending:
        folder, parts, above = pending.pop()
        if not parts:
            yield folder
            continue
        first, rest = parts[0], parts[1:]
        if first == "**":
            pending.extend(reversed(_below(folder, parts, above)))
            pending.append((folder, rest, frozenset()))
        elif is_pattern(first):
            names = [name for name, _ in _listing(folder, first) if fnmatch.fnmatch(name, first)]
            pending.extend((_join(folder, name), rest, frozenset()) for name in reversed(names))
        elif os.path.lexists(_join(folder, first)):
            pending.append((_join(folder, first), rest, frozenset()))


def _below(folder: str, parts: list[str], above: frozenset[_Identity]) -> list[_Search]:
    """The subfolders where a search whose `parts` begin with `**` continues."""
    try:
        identity = _identity(folder or os.curdir)
    except OSError:
        return []
    rest = parts[1:]
    if not rest or identity in above:
        return []
    return [
        (_join(folder, name), parts, above | {identity})
        for name, is_folder in _listing(folder, "**")
        if is_folder and not (len(rest) == 1 and fnmatch.fnmatch(name, rest[0]))
    ]


def _listing(folder: str, pattern: str) -> list[_Entry]:
    """The entries of a folder that a pattern may match: names with a leading dot only if it has one, too."""
    try:
        entries = _entries(folder or os.curdir)
    except OSError:
        return []
    return [entry for entry in entries if pattern.startswith(".") or not entry[0].startswith(".")]


def _entries(folder: str) -> list[_Entry]:
    """The entries of a folder, in order of name. Raises OSError if it cannot be read."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, is_folder(entry)) for entry in entries)


def is_folder(entry: os.DirEntry[str] | str) -> bool:
    try:
        return stat.S_ISDIR(Path(entry).stat().st_mode) if isinstance(entry, str) else entry.is_dir()
    except (OSError, ValueError):
        return False


def _identity(folder: str) -> _Identity:
    info = Path(folder).stat()
    return info.st_dev, info.st_ino


def _join(folder: str, name: str) -> str:
    """Joins two parts as the user wrote them: unlike pathlib, it keeps the `./` of `./faces`."""
    return f"{folder}{name}" if not folder or folder.endswith("/") else f"{folder}{os.sep}{name}"


def is_pattern(text: str) -> bool:
    """Whether a text has a wildcard. Callers first check for a file of exactly this name."""
    return any(character in text for character in "*?[")


def is_image_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)
