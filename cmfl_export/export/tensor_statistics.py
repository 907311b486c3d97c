"""Measures the tensors of a graph over images: the range of each channel, and how inputs vary together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime import INPUT_NAME
from .graph import attribute

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_REDUCED = "cmfl.range."
# Places of a map that are sampled per image; neighbouring ones hold much the same values.
_PLACES = 200


class Range(NamedTuple):
    """The lowest and highest value of each channel of a tensor over the images: float64 [C] each."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Moments(NamedTuple):
    """Mean [K] and covariance [K, K] of the inputs under a convolution's kernel, flattened [I, H, W]."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def ranges(
    model: ModelProto, tensors: Iterable[str], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, Range]:
    """Returns the range of each channel of these tensors, [B, C, H, W], over all images."""
    from onnx import TensorProto, helper

    names = list(dict.fromkeys(tensors))
    outputs = []
    model.graph.initializer.append(helper.make_tensor(f"{_REDUCED}axes", TensorProto.INT64, [3], [0, 2, 3]))
    for name in names:
        for operator in ("ReduceMin", "ReduceMax"):
            outputs.append(f"{_REDUCED}{operator}.{name}")
            inputs = [name, f"{_REDUCED}axes"]
            model.graph.node.append(
                helper.make_node(operator, inputs, outputs[-1:], name=outputs[-1], keepdims=0)
            )
    found: dict[str, Range] = {}
    for values in _outputs(model, outputs, batches):
        pairs = iter(values)
        for name in names:
            low, high = (next(pairs).astype(np.float64) for _ in range(2))
            before = found.get(name, Range(low, high))
            found[name] = Range(np.minimum(before.low, low), np.maximum(before.high, high))
    return found


def moments(
    model: ModelProto, convolutions: Sequence[NodeProto], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, Moments]:
    """Returns mean and covariance of the inputs of each of these convolutions, by the name of its output.

    Args:
        convolutions: of the model, ungrouped and undilated.
        batches: uint8 [n, 224, 224, 3] each; n small, as all inputs of a batch are in memory at once.
    """
    rng = np.random.default_rng(0)
    names = list(dict.fromkeys(node.input[0] for node in convolutions))
    sums: dict[str, tuple[int, NDArray[np.float64], NDArray[np.float64]]] = {}
    for values in _outputs(model, names, batches):
        maps = dict(zip(names, values, strict=True))
        for node in convolutions:
            rows = _under_kernel(node, maps[node.input[0]], rng)
            count, total, products = sums.get(node.output[0], (0, np.zeros(1), np.zeros(1)))
            sums[node.output[0]] = (
                count + len(rows),
                total + rows.sum(axis=0, dtype=np.float64),
                products + rows.T @ rows,
            )
    found = {}
    for name, (count, total, products) in sums.items():
        mean = total / count
        found[name] = Moments(mean, products / count - np.outer(mean, mean))
    return found


def _under_kernel(
    node: NodeProto, maps: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Returns what the kernel of a convolution covers at random places of these maps, [places, I * H * W]."""
    height, width = attribute(node, "kernel_shape", [1, 1])
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    down, across = attribute(node, "strides", [1, 1])
    padded = np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    windows = windows[:, :, ::down, ::across]
    rows, columns = windows.shape[2:4]
    places = rng.choice(rows * columns, min(_PLACES, rows * columns), replace=False)
    chosen = windows[:, :, places // columns, places % columns]
    return chosen.transpose(0, 2, 1, 3, 4).reshape(-1, windows.shape[1] * height * width)


def _outputs(
    model: ModelProto, outputs: Sequence[str], batches: Iterable[NDArray[np.uint8]]
) -> Iterator[list[Any]]:
    """Yields these tensors of the model, inner ones too, for each batch."""
    from onnx import TensorProto, helper

    from ..runtime import load_onnxruntime, silent_options

    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs
    )
    session = load_onnxruntime().InferenceSession(
        model.SerializeToString(), silent_options(), providers=["CPUExecutionProvider"]
    )
    for batch in batches:
        yield session.run(None, {INPUT_NAME: batch})
