"""Writes an ONNX file that contains its model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..base.files import writing
from .card import METADATA_KEY, ModelCard

if TYPE_CHECKING:
    import onnx


def write_model(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Writes the model to a file, with the card in its metadata.

    Raises:
        UsageError: the file cannot be written.
    """
    import onnx

    model.producer_name = "cmfl-export"
    model.producer_version = card.versions.get("cmfl-export", "")
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    with writing(path):
        path.write_bytes(content)
