"""Writes the manifest of a model's folder, and the facts in its card.md."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmfl_export.base.errors import ModelError
from cmfl_export.base.files import sha256_of, write_whole, writing
from cmfl_export.base.text_formats import FormatError, decoded, read_bytes
from cmfl_export.runtime import ModelCard, read_card

from . import hf_card as card_file
from .hf_parity import PARITY, parity_table, with_parity
from .hf_tables import Measured
from .manifest import CARD, MANIFEST, MOST_DOCUMENT_BYTES, RECIPE, Manifest, ModelFile


def describe(
    folder: str | os.PathLike[str],
    *,
    version: str | None = None,
    description: str | None = None,
    default: str | None = None,
    url: str | None = None,
    metrics: Sequence[str | os.PathLike[str]] = (),
    parity: str | os.PathLike[str] | None = None,
) -> Manifest:
    """Writes manifest.toml for a folder with .onnx files and recipe.toml; run it again after every change.

    Name, licence, precision and threshold come from the cards inside the .onnx files, sizes and hashes from
    the files. Arguments that are not given keep their value from an earlier manifest. A missing card.md is
    drafted; in an existing one the front matter and, with `metrics`, the figures are replaced.

    Args:
        folder: the model's folder; all files in it, except hidden ones, belong to the model.
        version: such as 1.0.0; needed the first time.
        description: one line; needed the first time.
        default: the variant that the bare name stands for; by default the earlier one, else fp32.
        url: https address of a folder with the .onnx files.
        metrics: metrics.json files of `cmfl evaluate` on exactly these files.
        parity: JSON of `cmfl verify --everywhere` on exactly these files; it is kept as parity.json.

    Raises:
        ModelError: something is missing or faulty, or the .onnx files have different names or licences.
        UsageError: a file cannot be read or written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; give the one with the .onnx file and {RECIPE}")
    earlier = Manifest.read(folder / MANIFEST) if (folder / MANIFEST).exists() else None
    version = version or (earlier.version if earlier else None)
    description = description or (earlier.description if earlier else None)
    if version is None or description is None:
        raise ModelError(f"{folder} has no {MANIFEST} yet; give --version and --description")
    if not (folder / RECIPE).is_file():
        raise ModelError(f"{folder / RECIPE} is missing; copy config.toml of the training run")

    weights = [_weights(path, url, earlier) for path in sorted(folder.glob("*.onnx"))]
    if not weights:
        raise ModelError(f"{folder} has no .onnx file; export the model into it")
    cards = [card for _, card in weights]
    for key in ("name", "licence"):
        if len({getattr(card, key) for card in cards}) > 1:
            raise ModelError(
                f"{folder}: the cards in the .onnx files disagree about the {key}; export all with one {key}"
            )
    variants = {file.variant: file for file, _ in weights}
    default = default or (earlier.default if earlier and earlier.default in variants else None)
    default = default or ("fp32" if "fp32" in variants else min(variants))

    measured = [Measured(Path(path), {file.sha256: file.variant for file, _ in weights}) for path in metrics]
    kept = {(one.split, one.variant): one for one in (earlier.metrics if earlier else ())}
    kept |= {(one.split, one.variant): one for found in measured for one in found.metrics}
    figures = tuple(one for (_, variant), one in sorted(kept.items()) if variant in variants)

    path = folder / CARD
    text = _text_of(path) if path.exists() else card_file.draft(cards[0], description)
    tables = "\n\n".join(found.tables() for found in measured) if measured else None
    text = card_file.filled(text, cards[0], figures, tables)
    if parity is not None:
        sums = {file.variant: file.sha256 for file, _ in weights}
        text = with_parity(text, parity_table(Path(parity), sums))
        with writing(folder / PARITY):
            write_whole(folder / PARITY, Path(parity).read_bytes())
    write_whole(path, text.encode())

    manifest = Manifest(
        name=cards[0].name,
        version=version,
        description=description,
        licence=cards[0].licence,
        default=default,
        files=(*(file for file, _ in weights), *_documents(folder)),
        metrics=figures,
    )
    data = manifest.to_toml().encode()
    # Only a manifest that can be read is written.
    checked = Manifest.parse(data, str(folder / MANIFEST))
    write_whole(folder / MANIFEST, data)
    return checked


def _text_of(path: Path) -> str:
    try:
        return decoded(read_bytes(path, MOST_DOCUMENT_BYTES, "the model's card"))
    except FormatError as error:
        raise ModelError(f"{path}: {error}") from error


def _weights(path: Path, url: str | None, earlier: Manifest | None) -> tuple[ModelFile, ModelCard]:
    card = read_card(path)
    before = [file.urls for file in (earlier.files if earlier else ()) if file.name == path.name]
    urls = (f"{url.rstrip('/')}/{path.name}",) if url else (before[0] if before else ())
    return replace(_file(path), variant=card.precision, threshold=card.threshold, urls=urls), card


def _documents(folder: Path) -> list[ModelFile]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix == ".onnx" or path.name == MANIFEST:
            continue
        if path.is_symlink() or not path.is_file():
            raise ModelError(f"{path} is not a regular file; a model's folder may only hold files")
        found.append(_file(path))
    return found


def _file(path: Path) -> ModelFile:
    with writing(path):
        return ModelFile(path.name, path.stat().st_size, sha256_of(path))
