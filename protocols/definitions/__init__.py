"""Reads definitions of protocols: TOML files with generators, folders, numbers of images and file names.

Those in this folder are the paper's protocols. The top of stylegan2.toml explains the format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cmfl_export.base.errors import CmflError, ProtocolError
from cmfl_export.base.text_formats import MOST_TOML_BYTES, FormatError, load_toml, read_bytes

from ..attacks import check_attacks
from ..splitting import SALT, SPLITS

_NUMBERED = re.compile(r"([^{}/\\]*)\{number(?::0([1-9]\d?))?\}([^{}/\\]*)")
_MOST_NUMBERS = 10_000_000  # per source, as all names are held in memory
_DEFINITION_KEYS = {"name", "description", "salt", "source"}
_SOURCE_KEYS = {"folder", "attack", "file", "numbers", *SPLITS}


@dataclass(frozen=True)
class Source:
    """Files of one kind in one folder, and how many of them go into each split."""

    folder: str  # relative to the data root, with /
    attack: str  # empty: real
    file: str  # a file name with {number}, or a pattern
    numbers: tuple[int, int] | None  # first and last; None if the files are not numbered
    counts: Mapping[str, int]  # images by split

    def numbered_files(self) -> list[str]:
        """Returns all names of a numbered source, relative to the data root."""
        match = _NUMBERED.fullmatch(self.file)
        if self.numbers is None or match is None:
            return []
        before, digits, after = match.groups()
        first, last = self.numbers
        prefix = "" if self.folder == "." else f"{self.folder}/"
        return [f"{prefix}{before}{number:0{digits or 1}}{after}" for number in range(first, last + 1)]


@dataclass(frozen=True)
class Definition:
    """The content of a definition."""

    name: str
    description: str
    salt: str
    sources: tuple[Source, ...]


def names() -> list[str]:
    """Returns the names of the definitions that come with the package, in order."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def load(name_or_path: str | os.PathLike[str]) -> Definition:
    """Returns a definition by its name, or from a TOML file.

    Raises:
        ProtocolError: no such name or file, or it is faulty; names the file and the key.
    """
    if name_or_path in names():
        where = f"{name_or_path}.toml"
        data = resources.files(__name__).joinpath(where).read_bytes()
    else:
        where = os.fspath(name_or_path)
        try:
            data = read_bytes(Path(name_or_path), MOST_TOML_BYTES, "the definition")
        except CmflError as error:
            raise ProtocolError(f"{error}; give a TOML file or one of {', '.join(names())}") from error
    try:
        values = load_toml(data)
    except FormatError as error:
        raise ProtocolError(f"{where}: {error}") from error
    return _definition(values, where)


def _definition(values: dict[str, Any], where: str) -> Definition:
    _refuse_unknown(values, _DEFINITION_KEYS, where)
    tables = values.get("source", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ProtocolError(f"{where}: source: it needs at least one [[source]]")
    sources = tuple(_source(table, f"{where}: source {n}") for n, table in enumerate(tables, 1))
    try:
        check_attacks(source.attack for source in sources if source.attack)
    except CmflError as error:
        raise ProtocolError(f"{where}: attack: {error}") from error
    for split in SPLITS:
        for kind, real in (("real", True), ("synthetic", False)):
            if not any(source.counts[split] for source in sources if (not source.attack) is real):
                raise ProtocolError(f"{where}: {split}: no source gives it {kind} images")
    return Definition(
        name=_text(values, "name", where),
        description=_text(values, "description", where, ""),
        salt=_text(values, "salt", where, SALT),
        sources=sources,
    )


def _source(values: dict[str, Any], where: str) -> Source:
    _refuse_unknown(values, _SOURCE_KEYS, where)
    folder = _text(values, "folder", where)
    if re.match(r"[/\\]|[A-Za-z]:", folder) or "\\" in folder or ".." in folder.split("/"):
        raise ProtocolError(
            f"{where}: folder: {folder!r} must be relative to the data root, with / and without .."
        )
    # One spelling per folder: ./faces/ becomes faces.
    folder = "/".join(part for part in folder.split("/") if part not in ("", ".")) or "."
    where = f"{where} ({folder})"
    numbers = values.get("numbers")
    file = _text(values, "file", where, "*" if numbers is None else None)
    counts = {split: values.get(split, 0) for split in SPLITS}
    for split, count in counts.items():
        if not _is_count(count):
            raise ProtocolError(f"{where}: {split}: {count!r} must be a whole number, 0 or more")
    if not any(counts.values()):
        raise ProtocolError(f"{where}: no images for any split; give their number with train, dev or eval")
    if numbers is not None:
        numbers = _numbers(numbers, where)
        if not _NUMBERED.fullmatch(file):
            raise ProtocolError(f"{where}: file: {file!r} must be one name with one {{number:05}} in it")
        available = numbers[1] - numbers[0] + 1
        if sum(counts.values()) > available:
            raise ProtocolError(
                f"{where}: numbers: {available:,} files, but the splits take {sum(counts.values()):,}"
            )
    return Source(folder, _text(values, "attack", where, ""), file, numbers, counts)


def _numbers(value: Any, where: str) -> tuple[int, int]:
    pair = value if isinstance(value, list) and len(value) == 2 else [-1, -1]
    first, last = pair
    if not (_is_count(first) and _is_count(last) and first <= last < _MOST_NUMBERS):
        raise ProtocolError(
            f"{where}: numbers: {value!r} must be [first, last], whole numbers from 0 to {_MOST_NUMBERS - 1}"
        )
    return first, last


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(values: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if value is None:
        raise ProtocolError(f"{where}: {key}: missing")
    if not isinstance(value, str) or not value.isprintable():
        raise ProtocolError(f"{where}: {key}: {value!r} must be a text of printable characters")
    if not value and default != "":
        raise ProtocolError(f"{where}: {key}: empty")
    return value


def _refuse_unknown(values: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise ProtocolError(f"{where}: {unknown[0]}: unknown key; the keys are {', '.join(sorted(known))}")
