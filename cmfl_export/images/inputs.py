"""Inputs as written on the command line become an ordered stream of paths."""

from __future__ import annotations

import fnmatch
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import BinaryIO

from .foreign import is_foreign

# What a folder yields; a file named by hand is tried whatever its name.
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

# A folder as (device, inode): how a folder that contains itself through a symbolic link is noticed.
_Identity = tuple[int, int]
# (name, is it a folder)
_Entry = tuple[str, bool]
# A folder, the parts of the pattern to match below it, and the folders that `**` has come through.
_Search = tuple[str, list[str], frozenset[_Identity]]


def iter_paths(
    inputs: Iterable[str],
    *,
    recursive: bool = True,
    null_separated: bool = False,
    stdin: BinaryIO | None = None,
) -> Iterator[str]:
    """Yields one path for each picture, lazily, in the order of `inputs`.

    Each input is one of:
        - `-`: a list of paths from `stdin` (default: standard input), one a line, or NUL-separated. Each is
          one path as it stands, whatever it names. Blank lines are left out, as is a `\\r` that ends a line.
        - something that exists: a file gives itself. A folder gives the image files in it (by extension, in
          either case), in order of name, its subfolders among them when `recursive`. Images of kinds that are
          known but not decoded (HEIC, camera raw and others, see `foreign`) are among them, so that they are
          reported and not lost. Names that start with a dot are passed over: no picture of the user has one,
          but parts that a killed run left do.
        - a pattern with `*`, `?`, `[...]` or `**`: what it matches, each treated as above, in order of name.
          As in a shell, `*` and `**` pass over names that start with a dot.
        - anything else: itself; the decoder then says what is wrong with it.

    What cannot be walked is yielded itself, so that it is reported and not lost: an unreadable folder, a
    folder whose name ends like an image's (write `name.jpg/` to walk it), a folder that contains itself
    through a symbolic link. An empty folder yields nothing. Names that are not UTF-8 arrive as `os.fsdecode`
    gives them.
    """
    for text in inputs:
        if text == "-":
            yield from _listed(sys.stdin.buffer if stdin is None else stdin, null_separated)
        elif is_pattern(text) and not os.path.lexists(text):
            yield from _matched(text, recursive)
        else:
            yield from _named(text, recursive)


def count_paths(inputs: Iterable[str], *, recursive: bool = True) -> int | None:
    """How many paths `iter_paths` will yield; None when a list on standard input is among them."""
    inputs = list(inputs)
    if "-" in inputs:
        return None
    return sum(1 for _ in iter_paths(inputs, recursive=recursive))


def root_of(text: str) -> str:
    """The folder that an input names: what the paths that it yields have in common by the way it is written.

    A folder's is itself, a pattern's what stands before its first wildcard, a file's the folder that it is
    in; a list from standard input has none.
    """
    if text == "-":
        return ""
    if is_pattern(text) and not os.path.lexists(text):
        parts = PurePath(text).parts
        plain = next(number for number, part in enumerate(parts) if is_pattern(part))
        return str(PurePath(*parts[:plain]))
    return text if _is_folder(text) and not _is_image_name(text) else str(PurePath(text).parent)


def _listed(stream: BinaryIO, null_separated: bool) -> Iterator[str]:
    for record in _null_separated(stream) if null_separated else _lines(stream):
        if record:
            yield os.fsdecode(record)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    for line in stream:
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _null_separated(stream: BinaryIO) -> Iterator[bytes]:
    # read1 hands over what a pipe has now instead of waiting for a whole block.
    read = getattr(stream, "read1", stream.read)
    rest = b""
    while block := read(1 << 16):
        *records, rest = (rest + block).split(b"\0")
        yield from records
    yield rest


def _matched(pattern: str, recursive: bool) -> Iterator[str]:
    found = False
    for path in _matches(pattern):
        found = True
        yield from _named(path, recursive)
    if not found:
        yield pattern


def _named(path: str, recursive: bool) -> Iterator[str]:
    """A file is itself; a folder is what is in it, unless its own name is an image's."""
    if _is_folder(path) and not _is_image_name(path):
        yield from _walk(path, recursive)
    else:
        yield path


def _walk(root: str, recursive: bool) -> Iterator[str]:
    # A stack and not recursion: folders may be nested deeper than Python calls may be. A level is a folder,
    # the rest of its entries, and the identities of it and the folders above it.
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
            if _is_image_name(name) or (is_foreign(name) and not is_folder):
                yield path
            elif is_folder and recursive:
                if enter(path, above):
                    break
                yield path
        else:
            levels.pop()


def _matches(pattern: str) -> Iterator[str]:
    """What a pattern matches, in order of name.

    The standard `glob` has no order, and follows a link to its own folder forty times.
    `**` is any number of folders. It does not look inside a folder that the rest of the pattern matches: that
    folder is walked whole, so that `**/*` gives every picture once.
    """
    # Several `**` in a row are one, and must not find everything several times.
    written = PurePath(pattern).parts
    parts = [
        part for part, before in zip(written, ("", *written), strict=False) if part != "**" or before != "**"
    ]
    if pattern.endswith("/"):
        # An empty name at the end: only folders have one.
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
    """The folders in which a search whose `parts` begin with `**` goes on."""
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
    """What a pattern may match in a folder: a name with a dot in front only if the pattern has one too."""
    try:
        entries = _entries(folder or os.curdir)
    except OSError:
        return []
    return [entry for entry in entries if pattern.startswith(".") or not entry[0].startswith(".")]


def _entries(folder: str) -> list[_Entry]:
    """What is in a folder, in order of name. Raises OSError where it cannot be read."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, _is_folder(entry)) for entry in entries)


def _is_folder(entry: os.DirEntry[str] | str) -> bool:
    try:
        return stat.S_ISDIR(Path(entry).stat().st_mode) if isinstance(entry, str) else entry.is_dir()
    except (OSError, ValueError):
        return False


def _identity(folder: str) -> _Identity:
    info = Path(folder).stat()
    return info.st_dev, info.st_ino


def _join(folder: str, name: str) -> str:
    """Unlike pathlib, leaves what the user wrote as it is: `./faces` stays `./faces`."""
    return f"{folder}{name}" if not folder or folder.endswith("/") else f"{folder}{os.sep}{name}"


def is_pattern(text: str) -> bool:
    """Whether it has a wildcard; something of that very name comes first."""
    return any(character in text for character in "*?[")


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)
