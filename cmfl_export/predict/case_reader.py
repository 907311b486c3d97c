"""Reads a case file, which may come from anywhere: every size and digest is checked before it counts."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.text_formats import FormatError, load_json
from .case_file import CARD, FORMAT, INPUTS, MANIFEST, REPORT, ROWS, SCHEMA, SETUP

_MOST_MANIFEST_BYTES = 1 << 20
_MOST_SETUP_BYTES = 1 << 24
_MOST_LINE_BYTES = 1 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True)
class CaseFile:
    """An opened case, all of whose files agree with its manifest.

    Attributes:
        path: the file.
        digest: the SHA-256 of its manifest.
        created: when it was written, as it says.
        setup: as `case_file` writes it.
    """

    path: Path
    digest: str
    created: str
    setup: dict[str, Any]
    _archive: zipfile.ZipFile

    def inputs(self) -> Iterator[dict[str, Any]]:
        """Yields path, size and SHA-256 of each input, in order."""
        return self._lines(INPUTS)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows, in order."""
        return self._lines(ROWS)

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with self._archive.open(name) as stream:
            while line := stream.readline(_MOST_LINE_BYTES):
                yield _table(self.path, name, line, _MOST_LINE_BYTES)


@contextmanager
def open_case_file(path: Path) -> Iterator[CaseFile]:
    """Opens a case and checks each of its files against its manifest.

    Raises:
        InputError: the file is no case, of a newer format, or a file in it is not the one of the manifest.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield _opened(path, archive)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{path} is not a case file, or it is damaged ({error})") from error


def _opened(path: Path, archive: zipfile.ZipFile) -> CaseFile:
    names = sorted(archive.namelist())
    needed = {MANIFEST, INPUTS, ROWS, CARD, SETUP}
    if names not in (sorted(needed), sorted({*needed, REPORT})):
        raise InputError(f"{path} is not a case file: it holds other files than a case")
    data = _small(path, archive, MANIFEST, _MOST_MANIFEST_BYTES)
    manifest = _table(path, MANIFEST, data, _MOST_MANIFEST_BYTES)
    if manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a case file: its manifest is none")
    if manifest.get("schema") != SCHEMA:
        raise InputError(f"{path} has another format than this version reads; upgrade cmfl-export")
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(names) - {MANIFEST}:
        raise InputError(f"{path}: its files are not those of its manifest")
    for name, entry in files.items():
        if not isinstance(entry, dict) or not _agrees(archive, name, entry):
            raise InputError(
                f"{path}: {name} is not the one of the manifest; the case was changed or damaged"
            )
    setup = _table(path, SETUP, _small(path, archive, SETUP, _MOST_SETUP_BYTES), _MOST_SETUP_BYTES)
    return CaseFile(path, hashlib.sha256(data).hexdigest(), str(manifest.get("created")), setup, archive)


def _agrees(archive: zipfile.ZipFile, name: str, entry: dict[str, Any]) -> bool:
    """Whether size and digest of a file are those of its entry; reads no more than the size."""
    size, digest = entry.get("size"), hashlib.sha256()
    if type(size) is not int or archive.getinfo(name).file_size != size:
        return False
    with archive.open(name) as stream:
        left = size
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        return left == 0 and not stream.read(1) and digest.hexdigest() == entry.get("sha256")


def _small(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise InputError(f"{path}: {name} is larger than a case's")
    return data


def _table(path: Path, name: str, data: bytes, most: int) -> dict[str, Any]:
    try:
        value = load_json(data, most)
    except FormatError as error:
        raise InputError(f"{path}: {name} cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: {name} holds something other than a case's")
    return value
