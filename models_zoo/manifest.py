"""Reads, checks and writes manifest.toml, the list of a model's files. README.md shows one."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cmfl_export.base.errors import ModelError
from cmfl_export.base.text_formats import FormatError, load_toml
from cmfl_export.base.toml import toml_table

from .names import is_file_name, is_model_name, is_variant

MANIFEST = "manifest.toml"
CARD = "card.md"
RECIPE = "recipe.toml"
SCHEMA_VERSION = 1
MOST_MANIFEST_BYTES = 256 * 1024
MOST_DOCUMENT_BYTES = 4 * 1024 * 1024  # of a file other than weights
MOST_WEIGHTS_BYTES = 2**31  # no ONNX file is larger
_MOST_FILES = 64

_KEYS = {"schema", "name", "version", "description", "licence", "default", "file", "metrics"}
_FILE_KEYS = {"name", "size", "sha256", "variant", "threshold", "urls"}
_METRICS_KEYS = {"split", "variant", "real", "synthetic"}
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_METRIC = re.compile(r"[a-z][a-z0-9_]*")

# A metric's value and the bounds of its 95 % interval.
Figure = tuple[float, float, float]


@dataclass(frozen=True)
class ModelFile:
    """One file of the folder.

    `variant` is the precision of weights (fp32, fp16, int8) and "" for other files; `threshold` is the one in
    the card of the weights; `urls` are download addresses, tried in order.
    """

    name: str
    size: int
    sha256: str
    variant: str = ""
    threshold: float | None = None
    urls: tuple[str, ...] = ()

    def is_content(self, data: bytes) -> bool:
        """Whether these bytes have the size and SHA-256 of the file."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


@dataclass(frozen=True)
class Metrics:
    """Figures of one variant on one split. Rates are fractions, not percentages."""

    split: str
    variant: str
    real: int
    synthetic: int
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Manifest:
    """A model of the zoo: its name, files and figures.

    `default` is the variant that the bare name stands for. `files` are all files of the folder except the
    manifest: the weights, and at least card.md and recipe.toml.
    """

    name: str
    version: str
    description: str
    licence: str
    default: str
    files: tuple[ModelFile, ...]
    metrics: tuple[Metrics, ...] = ()

    @property
    def weights(self) -> dict[str, ModelFile]:
        """The weights by variant, the default first."""
        found = {file.variant: file for file in self.files if file.variant}
        return {self.default: found[self.default]} | found

    @property
    def documents(self) -> list[ModelFile]:
        """The files other than weights."""
        return [file for file in self.files if not file.variant]

    def weights_of(self, variant: str | None) -> ModelFile:
        """Returns the weights of a variant; None is the default variant.

        Raises:
            ModelError: the model has no such variant.
        """
        weights = self.weights
        wanted = self.default if variant is None else variant
        if wanted not in weights:
            raise ModelError(f"{self.name} has no variant {wanted!r}; it has: {', '.join(weights)}")
        return weights[wanted]

    def to_toml(self) -> str:
        """Returns the text of manifest.toml."""
        head = {"schema": SCHEMA_VERSION} | {
            key: getattr(self, key) for key in ("name", "version", "description", "licence", "default")
        }
        blocks = [toml_table(head)]
        for file in self.files:
            values: dict[str, Any] = {"name": file.name, "size": file.size, "sha256": file.sha256}
            if file.variant:
                values |= {"variant": file.variant, "threshold": file.threshold}
            if file.urls:
                values["urls"] = list(file.urls)
            blocks.append("[[file]]\n" + toml_table(values))
        for metrics in self.metrics:
            values = {key: getattr(metrics, key) for key in ("split", "variant", "real", "synthetic")}
            figures = {key: list(figure) for key, figure in metrics.figures.items()}
            blocks.append("[[metrics]]\n" + toml_table(values | figures))
        return "\n".join(blocks)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """Reads and checks a manifest, which may come from an untrusted source.

        Args:
            data: the bytes of manifest.toml.
            where: its name in errors.

        Raises:
            ModelError: something is missing, unknown or faulty; names `where` and the key.
        """
        if len(data) > MOST_MANIFEST_BYTES:
            raise ModelError(f"{where}: more than {MOST_MANIFEST_BYTES} bytes, so it is not a manifest")
        try:
            values = load_toml(data)
        except FormatError as error:
            raise ModelError(f"{where}: {error}") from error
        schema = values.get("schema")
        if type(schema) is int and schema > SCHEMA_VERSION:
            raise ModelError(
                f"{where}: schema: {schema} is newer than this version reads; upgrade cmfl-export"
            )
        if type(schema) is not int or schema != SCHEMA_VERSION:
            raise ModelError(f"{where}: schema: {schema!r} must be {SCHEMA_VERSION}")
        _refuse_unknown(values, _KEYS, where)
        name, version = _text(values, "name", where), _text(values, "version", where)
        if not is_model_name(name):
            raise ModelError(
                f"{where}: name: {name!r} must be lower-case letters and digits, joined by -, _ or ."
            )
        if not _VERSION.fullmatch(version):
            raise ModelError(f"{where}: version: {version!r} must be like 1.0.0")
        manifest = cls(
            name=name,
            version=version,
            description=_text(values, "description", where),
            licence=_text(values, "licence", where),
            default=_text(values, "default", where),
            files=tuple(_file(table, of) for table, of in _tables(values, "file", where)),
            metrics=tuple(_metrics(table, of) for table, of in _tables(values, "metrics", where)),
        )
        manifest._check(where)
        return manifest

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads and checks a manifest.toml.

        Raises:
            ModelError: it cannot be read, or is faulty (see `parse`).
        """
        try:
            with path.open("rb") as stream:
                return cls.parse(stream.read(MOST_MANIFEST_BYTES + 1), str(path))
        except OSError as error:
            raise ModelError(f"the manifest {path} cannot be read: {error.strerror}") from error

    def _check(self, where: str) -> None:
        """Checks what concerns more than one table."""
        if len(self.files) > _MOST_FILES:
            raise ModelError(f"{where}: file: {len(self.files)} files; {_MOST_FILES} at most")
        _refuse_twice((file.name.lower() for file in self.files), f"{where}: file: name")
        _refuse_twice((file.variant for file in self.files if file.variant), f"{where}: file: variant")
        names = {file.name for file in self.documents}
        for needed in (CARD, RECIPE):
            if needed not in names:
                raise ModelError(f"{where}: file: {needed} is missing; list it with its size and sha256")
        variants = {file.variant for file in self.files if file.variant}
        if self.default not in variants:
            raise ModelError(f"{where}: default: no file has the variant {self.default!r}")
        for metrics in self.metrics:
            if metrics.variant not in variants:
                raise ModelError(f"{where}: metrics: no file has the variant {metrics.variant!r}")
        _refuse_twice((f"{m.split} of {m.variant}" for m in self.metrics), f"{where}: metrics: split")


def _file(values: dict[str, Any], where: str) -> ModelFile:
    _refuse_unknown(values, _FILE_KEYS, where)
    name = _text(values, "name", where)
    if not is_file_name(name) or name.lower() == MANIFEST:
        raise ModelError(
            f"{where}: name: {name!r} must be the name of one file: letters, digits, -, _ and ., no folder"
        )
    where = f"{where} ({name})"
    variant = _text(values, "variant", where) if "variant" in values else ""
    if variant and not is_variant(variant):
        raise ModelError(f"{where}: variant: {variant!r} must be lower-case letters and digits, like fp32")
    if bool(variant) != name.endswith(".onnx"):
        raise ModelError(f"{where}: variant: an .onnx file has one, and no other file does")
    most = MOST_WEIGHTS_BYTES if variant else MOST_DOCUMENT_BYTES
    size = values.get("size")
    if type(size) is not int or not 0 < size <= most:
        raise ModelError(f"{where}: size: {size!r} must be a number of bytes from 1 to {most}")
    sha256 = _text(values, "sha256", where)
    if not _SHA256.fullmatch(sha256):
        raise ModelError(f"{where}: sha256: {sha256!r} must be 64 hexadecimal digits in lower case")
    threshold = values.get("threshold")
    if bool(variant) != (threshold is not None):
        raise ModelError(f"{where}: threshold: weights have one, and no other file does")
    if threshold is not None and not (_is_number(threshold) and 0 <= threshold <= 1):
        raise ModelError(f"{where}: threshold: {threshold!r} must be within 0 and 1")
    urls = values.get("urls", [])
    if not isinstance(urls, list) or not all(map(_is_https, urls)):
        raise ModelError(f"{where}: urls: {urls!r} must be a list of https addresses")
    if urls and not variant:
        raise ModelError(f"{where}: urls: only weights have them; other files come with the manifest")
    return ModelFile(
        name, size, sha256, variant, None if threshold is None else float(threshold), tuple(urls)
    )


def _metrics(values: dict[str, Any], where: str) -> Metrics:
    split, variant = _text(values, "split", where), _text(values, "variant", where)
    where = f"{where} ({split})"
    for key in ("real", "synthetic"):
        if type(values.get(key)) is not int or values[key] < 1:
            raise ModelError(f"{where}: {key}: {values.get(key)!r} must be a number of images")
    figures: dict[str, Figure] = {}
    for key, value in values.items():
        if key in _METRICS_KEYS:
            continue
        if not _METRIC.fullmatch(key):
            raise ModelError(
                f"{where}: {key!r}: not the name of a metric; use lower-case letters, digits and _"
            )
        if not (isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))):
            raise ModelError(f"{where}: {key}: {value!r} must be [value, low, high]")
        if value[1] > value[2]:
            raise ModelError(f"{where}: {key}: the interval of {value!r} ends before it starts")
        figures[key] = (float(value[0]), float(value[1]), float(value[2]))
    return Metrics(split, variant, values["real"], values["synthetic"], figures)


def _tables(values: dict[str, Any], key: str, where: str) -> list[tuple[dict[str, Any], str]]:
    """Returns the tables of [[key]], each with its name in errors."""
    tables = values.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ModelError(f"{where}: {key}: must be written as [[{key}]]")
    return [(table, f"{where}: {key} {number}") for number, table in enumerate(tables, 1)]


def _text(values: dict[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if value is None:
        raise ModelError(f"{where}: {key}: missing")
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ModelError(f"{where}: {key}: {value!r} must be a text of printable characters")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_https(url: Any) -> bool:
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)


def _refuse_unknown(values: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise ModelError(f"{where}: {unknown[0]}: unknown key; the keys are {', '.join(sorted(known))}")


def _refuse_twice(values: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ModelError(f"{where}: {value!r} is there twice")
        seen.add(value)
