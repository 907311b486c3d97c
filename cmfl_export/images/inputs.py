"""Turns the inputs of a command line into an ordered stream of paths."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .folders import is_folder, is_image_name, is_pattern, matches, walk
from .foreign import is_foreign, is_video_name
from .sources import (
    Fault,
    Located,
    Object,
    archive_kind,
    frames_of,
    is_object_pattern,
    is_web,
    located,
    matching_objects,
    members,
    objects,
    open_binary,
    place_of,
    scheme_of,
    split_member,
)
from .status import ImageError, Status

_LIST = ".txt"
# To count the pictures in these, all of them would be read.
_UNCOUNTED = ("tar.gz", "parquet")
_MOST_SECONDS = 86_400.0
_NOT_IN_A_FILE = Fault(
    Status.UNSUPPORTED, "a video in an archive or a store, where no frames are read; get it as a file first"
)


@dataclass(frozen=True)
class _How:
    """How inputs are read. `counting`: only as far as that costs little; `whole`: archives as they are.

    `every`: of frames of videos, in milliseconds; 0 takes none. `passed_over`: called with videos that are
    not taken.
    """

    recursive: bool
    null_separated: bool = False
    column: str | None = None
    counting: bool = False
    whole: bool = False
    every: int = 0
    max_pixels: int = DetectorOptions.max_pixels
    passed_over: Callable[[str], None] = lambda _: None

    def takes_video(self, path: str) -> bool:
        """Whether a video that was found is taken."""
        if not self.every:
            self.passed_over(path)
        return bool(self.every)


class _UncountedError(Exception):
    """Counting would take as long as reading."""


def iter_paths(
    inputs: Iterable[str],
    *,
    recursive: bool = True,
    null_separated: bool = False,
    column: str | None = None,
    whole_archives: bool = False,
    every: float | None = None,
    max_pixels: int = DetectorOptions.max_pixels,
    passed_over: Callable[[str], None] = lambda _: None,
    stdin: BinaryIO | None = None,
) -> Iterator[str]:
    """Yields one path for each picture, lazily, in the order of `inputs`.

    Each input is one of:
        - `-`: a list from `stdin` (default: standard input), one entry per line or NUL-separated. Blank lines
          are skipped, and a `\\r` at the end of a line is removed. An entry is a path, taken literally, or an
          archive, a member or an address as below.
        - a file that exists: yields itself; but of an archive (.tar, .tar.gz, .zip, .parquet) its pictures,
          as members (see `sources.names`), and of a list (.txt) its entries, as of `-`.
        - a folder that exists: yields the image files in it (by extension, in upper or lower case), in order
          of name, with those of its subfolders if `recursive`. Images that are known but not decoded (HEIC,
          camera raw and others, see `foreign`) are included, so that they are reported. Names that start
          with a dot are skipped: a killed run leaves temporary files with such names.
        - an address in a store (s3://, gs://, hf://, az://): an object, archive or list as above; a folder,
          if its name has no ending of these; or a pattern. On the web (https://) a file, archive or list.
        - a pattern with `*`, `?`, `[...]` or `**`: its matches, each treated as above (a .txt file as
          itself), in order of name. As in a shell, `*` and `**` skip names that start with a dot.
        - anything else: yields itself; the decoder then says what is wrong with it.

    With `every`, video files stand for their frames (see `sources.frames`), which are decoded as they are
    asked for, wherever the files are named or found. Without, a folder's videos are passed over.

    Folders that cannot be walked are yielded themselves, so that they are reported: an unreadable folder, a
    folder with an image's extension (write `name.jpg/` to walk it), a folder that contains itself through a
    symbolic link. An empty folder yields nothing. An archive or a listing that ends early is yielded itself
    behind what was found. Names that are not UTF-8 are decoded by `os.fsdecode`. What is in an archive or a
    store is yielded as `Located`, which is a str.

    Args:
        inputs: see above.
        recursive: whether folders are searched with their subfolders.
        null_separated: how the entries of standard input end.
        column: the column of Parquet files, by default `image` or `bytes`.
        whole_archives: whether an archive is yielded itself, unread; giving it to this function again yields
            its pictures.
        every: seconds between the frames of a video, from 0.001 on.
        max_pixels: videos with larger frames are not decoded.
        passed_over: called with each video in a folder, archive or store that is passed over.
        stdin: the list behind `-`.

    Raises:
        PackageError: a package for a store or for Parquet is missing.
        InputError: a Parquet file has no such column.
        UsageError: `every` is no such number.
    """
    if every is not None and not 0.001 <= every <= _MOST_SECONDS:
        raise UsageError(f"frames every {every:g} s: it must be from 0.001 to {_MOST_SECONDS:g} s")
    how = _How(
        recursive,
        null_separated,
        column,
        whole=whole_archives,
        every=0 if every is None else round(every * 1000),
        max_pixels=max_pixels,
        passed_over=passed_over,
    )
    return _iterated(inputs, how, stdin)


def count_paths(inputs: Iterable[str], *, recursive: bool = True, every: float | None = None) -> int | None:
    """The number of paths that `iter_paths` will yield.

    None if counting takes as long as reading: standard input (`-`), addresses, Parquet, compressed tars and,
    with `every`, videos.
    """
    inputs = list(inputs)
    if "-" in inputs:
        return None
    try:
        return sum(1 for _ in _iterated(inputs, _How(recursive, counting=True, every=bool(every)), None))
    except _UncountedError:
        return None


def root_of(text: str) -> str:
    """The folder that all paths of an input begin with, as the user wrote it.

    For a folder it is the folder itself, for a pattern the part before its first wildcard, for a file its
    parent folder, and for a list on standard input "".
    """
    if text == "-":
        return ""
    if is_pattern(text) and not os.path.lexists(text):
        parts = PurePath(text).parts
        plain = next(number for number, part in enumerate(parts) if is_pattern(part))
        return str(PurePath(*parts[:plain]))
    return text if is_folder(text) and not is_image_name(text) else str(PurePath(text).parent)


def _iterated(inputs: Iterable[str], how: _How, stdin: BinaryIO | None) -> Iterator[str]:
    for text in inputs:
        if text == "-":
            stream = sys.stdin.buffer if stdin is None else stdin
            records = _null_separated(stream) if how.null_separated else _lines(stream)
            yield from _listed(records, how)
        elif scheme_of(text):
            yield from _at_address(text, how)
        elif text.lower().endswith(_LIST) and Path(text).is_file():
            yield from _in_list(text, how)
        elif is_pattern(text) and not os.path.lexists(text) and split_member(text) is None:
            yield from _matched(text, how)
        else:
            yield from _named(text, how)


def _in_list(text: str, how: _How) -> Iterator[str]:
    try:
        with open_binary(text) as stream:
            yield from _listed(_lines(stream), how)
    except ImageError as error:
        yield Located(text, Fault(error.status, error.message))
    except OSError:
        # The decoder says what is wrong with it.
        yield text


def _listed(records: Iterator[bytes], how: _How) -> Iterator[str]:
    def entries() -> Iterator[str]:
        for record in records:
            text = os.fsdecode(record)
            if not record:
                continue
            if scheme_of(text) and (text.endswith("/") or archive_kind(text)):
                yield from _at_address(text, how)
            elif scheme_of(text) and split_member(text) is None:
                yield Located(text, Object(text))
            elif archive_kind(text) and Path(text).is_file():
                yield from _members(text, how)
            else:
                yield from _file(text, how)

    return located(entries())


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    for line in stream:
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _null_separated(stream: BinaryIO) -> Iterator[bytes]:
    # read1 returns what a pipe holds now instead of waiting for a whole block.
    read = getattr(stream, "read1", stream.read)
    rest = b""
    while block := read(1 << 16):
        *records, rest = (rest + block).split(b"\0")
        yield from records
    yield rest


def _matched(pattern: str, how: _How) -> Iterator[str]:
    found = False
    for path in matches(pattern):
        found = True
        yield from _named(path, how)
    if not found:
        yield pattern


def _named(path: str, how: _How) -> Iterator[str]:
    """Yields a file itself or an archive's members; walks a folder, unless it has an image's extension."""
    if is_folder(path) and not is_image_name(path):
        for found in walk(path, how.recursive, how.takes_video):
            yield from _file(found, how)
    elif archive_kind(path) and Path(path).is_file():
        yield from _members(path, how)
    else:
        yield from _file(path, how)


def _file(path: str, how: _How) -> Iterator[str]:
    """Yields a file itself, or the frames of a video."""
    if not (how.every and is_video_name(path)) or is_folder(path):
        return iter([path])
    if how.counting:
        raise _UncountedError
    return iter(frames_of(path, how.every, how.max_pixels))


def _at_address(url: str, how: _How) -> Iterator[str]:
    if how.counting:
        raise _UncountedError
    if split_member(url) is not None:
        # Read by the decoder.
        yield Located(url, place_of(url))
    elif archive_kind(url) and not is_object_pattern(url):
        yield from _members(url, how)
    elif url.lower().endswith(_LIST) and not is_object_pattern(url):
        yield from _in_list(url, how)
    elif is_video_name(url) and not is_object_pattern(url):
        yield Located(url, _NOT_IN_A_FILE)
    elif is_web(url) or (_is_picture(url) and not is_object_pattern(url)):
        yield Located(url, Object(url))
    else:
        yield from _in_store(url, how)


def _in_store(url: str, how: _How) -> Iterator[str]:
    """The pictures in a folder of a store, or the objects that a pattern matches; else the address itself."""
    pattern = is_object_pattern(url)
    found = False
    try:
        listing = matching_objects(url) if pattern else objects(url, recursive=how.recursive)
        for address, size in listing:
            if pattern and archive_kind(address):
                found = True
                yield from _members(address, how)
            elif is_video_name(address):
                if how.takes_video(address):
                    found = True
                    yield Located(address, _NOT_IN_A_FILE)
            elif pattern or _is_picture(address):
                found = True
                yield Located(address, Object(address, size))
    except ImageError as error:
        found = True
        yield Located(url, Fault(error.status, error.message))
    if not found and not url.endswith("/"):
        yield Located(url, Object(url))


def _members(archive: str, how: _How) -> Iterator[str]:
    if how.counting and archive_kind(archive) in _UNCOUNTED:
        raise _UncountedError
    if how.whole:
        yield archive
        return

    def wanted(name: str) -> bool:
        if is_video_name(name):
            return not _is_hidden(name) and how.takes_video(name)
        return _is_picture(name)

    for member in members(archive, wanted, how.column):
        yield Located(member, _NOT_IN_A_FILE) if is_video_name(member) and member != archive else member


def _is_picture(name: str) -> bool:
    """Whether a name in an archive or a store is that of a picture, as a walk through folders decides it."""
    return (is_image_name(name) or is_foreign(name)) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
