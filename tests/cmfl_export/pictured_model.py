"""tiny_model with the optional outputs for pictures: each heatmap is the brightness by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from cmfl_export.runtime.card import METADATA_KEY
from tests.cmfl_export import tiny_model

SHAPES: dict[str, list[str | int]] = {
    "heatmap_rgb": ["batch", 14, 14],
    "heatmap_spectrum": ["batch", 14, 14],
    "spectrum": ["batch", 3, 224, 224],
}


def write(
    path: Path,
    scores: Sequence[str] = tiny_model.SCORES,
    pictures: Sequence[str] = tuple(SHAPES),
    **card: Any,
) -> Path:
    """Writes a model with those outputs, `card` replacing what its card says, and returns the path."""
    model = tiny_model.build(scores)
    graph = model.graph
    graph.initializer.extend(
        [
            helper.make_tensor("half", TensorProto.FLOAT, [], [127.5]),
            helper.make_tensor("unit", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", ["image"], ["as_floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["as_floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Div", ["planes", "half"], ["halves"]),
            helper.make_node("Sub", ["halves", "unit"], ["spectrum"]),
            helper.make_node("AveragePool", ["planes"], ["fields"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("ReduceMean", ["fields", "channels"], ["heatmap_rgb"], keepdims=0),
            helper.make_node("Identity", ["heatmap_rgb"], ["heatmap_spectrum"]),
        ]
    )
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPES[name]) for name in pictures
    )
    text = replace(tiny_model.card((*scores, *pictures)), **card).to_json()
    helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)
    return path
