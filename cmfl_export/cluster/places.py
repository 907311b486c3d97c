"""Where manifests and parts are: a folder, or an address in an object store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..base.errors import InputError, UsageError
from ..base.files import whole_file, writing
from ..images import ImageError, Status, objects, open_binary, scheme_of, uploading

_COPIED_AT_ONCE = 1 << 20


class MissingError(InputError):
    """There is no such file."""


def inside(folder: str, name: str) -> str:
    """Returns the place of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if scheme_of(folder) else str(Path(folder, name))


@contextmanager
def opened(place: str, what: str) -> Iterator[BinaryIO]:
    """Opens a file for reading; it can seek.

    Args:
        place: a file or an address.
        what: what it is; begins the error.

    Raises:
        MissingError: it is not there.
        InputError: it cannot be read.
        PackageError: a package for this store is missing.
    """
    try:
        with open_binary(place) as stream:
            yield stream
    except (OSError, ImageError) as error:
        kind = MissingError if _is_missing(error) else InputError
        raise kind(f"cannot read {what} {place}: {_reason(error)}") from None


def deliver(file: Path, place: str) -> None:
    """Copies a finished file to its place, where it appears whole or not at all.

    Raises:
        UsageError: the place cannot be written.
        PackageError: a package for this store is missing.
    """
    if scheme_of(place):
        with uploading(place) as stream, file.open("rb") as source:
            shutil.copyfileobj(source, stream, _COPIED_AT_ONCE)
    else:
        with whole_file(Path(place)) as part, writing(place):
            shutil.copyfile(file, part)


def names_in(folder: str) -> set[str]:
    """Returns the names of the files in a folder; none where there is no such folder.

    Raises:
        InputError: the folder cannot be listed.
        PackageError: a package for this store is missing.
    """
    try:
        if scheme_of(folder):
            return {address.rpartition("/")[2] for address, _ in objects(folder, recursive=False)}
        return {entry.name for entry in Path(folder).iterdir()}
    except (OSError, ImageError) as error:
        if _is_missing(error):
            return set()
        raise InputError(f"cannot list {folder}: {_reason(error)}") from None


def refuse_place(folder: str) -> None:
    """Refuses a place that cannot take parts, before anything is scored.

    Raises:
        UsageError: it is a file.
    """
    if not scheme_of(folder) and Path(folder).exists() and not Path(folder).is_dir():
        raise UsageError(f"-o {folder} is a file; give the folder for the parts")


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "status", None) is Status.NOT_FOUND


def _reason(error: OSError | ImageError) -> str:
    if isinstance(error, ImageError):
        return error.message
    return error.strerror or type(error).__name__
