"""A tiny model that obeys the contract of exported models, with scores that can be computed by hand.

p_real          = the mean of all pixels and channels, / 255
p_real_rgb      = the mean of the red channel, / 255
p_real_spectrum = the mean of the blue channel, / 255
embedding       = the means of the three channels, / 255 (where asked for)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, save

from cmfl_export.runtime.card import METADATA_KEY, ModelCard

SCORES = ("p_real", "p_real_rgb", "p_real_spectrum")


def card(outputs: Sequence[str] = SCORES, *, threshold: float = 0.5, aligned: bool = True) -> ModelCard:
    return ModelCard(
        name="tiny",
        architecture="two_stream",
        spectra="multi",
        aligned=aligned,
        outputs=tuple(outputs),
        threshold=threshold,
        threshold_source="made up for a test",
    )


def build(
    outputs: Sequence[str] = SCORES,
    *,
    threshold: float = 0.5,
    aligned: bool = True,
    with_card: bool = True,
    input_shape: Sequence[str | int] = ("batch", 224, 224, 3),
    nan_when_black: bool = False,
    burden: int = 0,
) -> ModelProto:
    """The model. `burden` makes it slow: so many 224x224 matrix products an image, times zero, in p_real."""
    constants = [
        helper.make_tensor("whole", TensorProto.FLOAT, [], [255.0 * 224 * 224]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("hw", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("red", TensorProto.INT64, [], [0]),
        helper.make_tensor("blue", TensorProto.INT64, [], [2]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("pixels", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    nodes = [
        # Sums of whole numbers, which are exact: a score cannot depend on the batch that the image stands in.
        helper.make_node("Cast", ["image"], ["integers"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["integers", "hw"], ["sums"], keepdims=0),
        helper.make_node("Cast", ["sums"], ["float_sums"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float_sums", "whole"], ["embedding"]),
        helper.make_node("ReduceMean", ["embedding", "channel"], ["mean"], keepdims=0),
        helper.make_node("Gather", ["embedding", "red"], ["p_real_rgb"], axis=1),
        helper.make_node("Gather", ["embedding", "blue"], ["p_real_spectrum"], axis=1),
    ]
    score = "mean"
    if nan_when_black:  # 0 / 0 where the mean is 0
        nodes.append(helper.make_node("Div", [score, score], ["ratio"]))
        nodes.append(helper.make_node("Mul", [score, "ratio"], ["or_nan"]))
        score = "or_nan"
    if burden:
        nodes.append(helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Transpose", ["floats"], ["plane0"], perm=[0, 3, 1, 2]))
        nodes.append(helper.make_node("Identity", ["plane0"], ["weight"]))
        nodes += [
            helper.make_node("MatMul", [f"plane{i}", "weight"], [f"plane{i + 1}"]) for i in range(burden)
        ]
        nodes.append(helper.make_node("Clip", [f"plane{burden}", "zero", "one"], ["clipped"]))
        nodes.append(helper.make_node("ReduceMean", ["clipped", "pixels"], ["burden"], keepdims=0))
        nodes.append(helper.make_node("Mul", ["burden", "zero"], ["nothing"]))
        nodes.append(helper.make_node("Add", [score, "nothing"], ["burdened"]))
        score = "burdened"
    nodes.append(helper.make_node("Identity", [score], ["p_real"]))
    shapes: dict[str, list[str | int | None]] = {name: ["batch"] for name in SCORES}
    shapes["embedding"] = ["batch", 3]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, list(input_shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    if with_card:
        helper.set_model_props(
            model, {METADATA_KEY: card(outputs, threshold=threshold, aligned=aligned).to_json()}
        )
    return model


def write(path: Path, **options: Any) -> Path:
    """Writes `build(**options)` and returns the path."""
    save(build(**options), path)
    return path


def expected(image: NDArray[np.uint8]) -> tuple[float, float, float]:
    """The three scores of a uint8 [224, 224, 3] image, in float64."""
    unit = image.astype(np.float64) / 255
    return float(unit.mean()), float(unit[..., 0].mean()), float(unit[..., 2].mean())


def variant(path: Path, precision: str, architecture: str = "two_stream") -> Path:
    """Writes the model with a card of this precision; its numbers stay float32."""
    proto = build()
    spectra = "rgb" if architecture == "one_stream" else "multi"
    changed = replace(card(), precision=precision, architecture=architecture, spectra=spectra)
    helper.set_model_props(proto, {METADATA_KEY: changed.to_json()})
    save(proto, path)
    return path
