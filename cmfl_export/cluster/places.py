"""Where manifests and parts are: a folder, or an address in an object store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..base.errors import InputError, UsageError, need
from ..base.files import whole_file, writing


def is_address(place: str) -> bool:
    """Whether a place is in a store and not in the file system."""
    return "://" in place


def inside(folder: str, name: str) -> str:
    """Returns the place of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(Path(folder, name))


@contextmanager
def opened(place: str, what: str) -> Iterator[BinaryIO]:
    """Opens a file for reading; it can seek.

    Args:
        place: the file.
        what: what it is; begins the error.

    Raises:
        InputError: it is not there, or cannot be read.
        PackageError: a package for this store is missing.
    """
    try:
        if is_address(place):
            store, key = _store_of(place)
            with store.open(key, "rb") as stream:
                yield stream
        else:
            with Path(place).open("rb") as stream:
                yield stream
    except OSError as error:
        raise InputError(f"cannot read {what} {place}: {error.strerror or type(error).__name__}") from None


def deliver(file: Path, place: str) -> None:
    """Copies a finished file to its place, where it appears whole or not at all.

    Raises:
        UsageError: the place cannot be written.
        PackageError: a package for this store is missing.
    """
    if is_address(place):
        store, key = _store_of(place)
        with writing(place):
            store.put_file(str(file), key)
    else:
        with whole_file(Path(place)) as part, writing(place):
            shutil.copyfile(file, part)


def names_in(folder: str) -> set[str]:
    """Returns the names of the files in a folder; none where there is no such folder.

    Raises:
        InputError: the folder cannot be listed.
        PackageError: a package for this store is missing.
    """
    with suppress(FileNotFoundError):
        try:
            if is_address(folder):
                store, key = _store_of(folder)
                return {str(name).rpartition("/")[2] for name in store.ls(key.rstrip("/"), detail=False)}
            return {entry.name for entry in Path(folder).iterdir()}
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InputError(f"cannot list {folder}: {error.strerror or type(error).__name__}") from None
    return set()


def is_there(folder: str, name: str) -> bool:
    """Whether a folder has a file of this name."""
    place = inside(folder, name)
    if not is_address(place):
        return Path(place).exists()
    store, key = _store_of(place)
    try:
        return bool(store.exists(key))
    except OSError as error:
        raise InputError(f"cannot read {place}: {error.strerror or type(error).__name__}") from None


def refuse_place(folder: str) -> None:
    """Refuses a place that cannot take parts, before anything is scored.

    Raises:
        UsageError: it is a file.
    """
    if not is_address(folder) and Path(folder).exists() and not Path(folder).is_dir():
        raise UsageError(f"-o {folder} is a file; give the folder for the parts")


def _store_of(place: str) -> tuple[Any, str]:
    try:
        import fsspec

        store, key = fsspec.core.url_to_fs(place, use_listings_cache=False)
    except ImportError as error:
        raise need("remote", f"{place.partition('://')[0]}:// addresses") from error
    return store, key
