"""Folders in the zoo's format, around the tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from cmfl_export.runtime.card import METADATA_KEY
from models_zoo.describe import describe
from tests.cmfl_export import tiny_model


def write_weights(path: Path, name: str, precision: str = "fp32", licence: str = "research only") -> Path:
    """The tiny model with a card of this name and precision."""
    proto = tiny_model.build()
    card = replace(tiny_model.card(), name=name, precision=precision, licence=licence)
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, path)
    return path


def model_folder(parent: Path, name: str = "mine", version: str = "1.0.0", *, int8: bool = False) -> Path:
    """A folder of this name with weights, recipe, card and manifest, all of them right."""
    folder = parent / name
    write_weights(folder / f"{name}.onnx", name)
    if int8:
        write_weights(folder / f"{name}-int8.onnx", name, "int8")
    (folder / "recipe.toml").write_text("epochs = 1\n")
    describe(folder, version=version, description="The mean of all pixels.")
    return folder
