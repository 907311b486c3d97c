"""8-bit trunks: rewritings that change nothing, integers from end to end, and scores that stay."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

from cmfl_export.base.errors import CmflError
from cmfl_export.export import int8, tensor_statistics
from cmfl_export.export.graph import Graph
from cmfl_export.export.tensor_statistics import Range
from cmfl_export.images.decoding import decode
from cmfl_export.runtime import session
from cmfl_export.runtime.onnx_reader import parse
from cmfl_export.runtime.onnx_writer import write_model
from cmfl_export.runtime.portability import is_portable
from cmfl_export.runtime.session import Session, read_card
from tests.cmfl_export.export.conftest import Variant

SCORES = ["p_real", "p_real_rgb", "p_real_spectrum"]


@pytest.fixture(scope="module")
def images(photographs: list[Path]) -> np.ndarray:
    return np.stack([decode(path) for path in photographs])


@pytest.fixture(scope="module")
def quantised(int8_variant: Variant) -> ModelProto:
    return onnx.load(int8_variant.path)


def run(model: ModelProto, images: np.ndarray, outputs: list[str] = SCORES) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack(session.run(outputs, {"image": images}))


def test_the_rewritings_alone_change_no_score(model_file: Path, images: np.ndarray) -> None:
    model = onnx.load(model_file)
    graph = Graph(model)
    int8.normalise_by_convolution(graph)
    int8.pool_by_convolution(graph)
    trunk = graph.trunk()
    names = [name for node in trunk for name in (node.input[0], *node.output)]
    ranges = tensor_statistics.ranges(graph.model(), names, [images])
    whole = int8.equalise(graph, trunk, ranges)
    int8.balance(graph, trunk, ranges)
    rewritten = graph.model()
    assert not {"BatchNormalization", "AveragePool"} & {node.op_type for node in rewritten.graph.node}
    np.testing.assert_allclose(run(rewritten, images), run(model, images), atol=2e-5)
    after = tensor_statistics.ranges(graph.model(), sorted(whole), [images])
    for name in whole:
        assert after[name].low.min() > -1e-4, name
        assert after[name].high.max() < 1 + 1e-4, name
    # Channel by channel, not merely as a whole.
    concatenated = next(node.output[0] for node in reversed(trunk) if node.op_type == "Concat")
    assert np.median(after[concatenated].high) > 0.99


def error(quantised: ModelProto, model_file: Path, images: np.ndarray) -> float:
    """Of the embeddings, which lie between 0 and 1. The lively network's heads would magnify it."""
    exact, rounded = (run(model, images, ["embedding"]) for model in (onnx.load(model_file), quantised))
    return float(np.abs(exact - rounded).mean())


def test_embeddings_stay(
    quantised: ModelProto, coarse: ModelProto, model_file: Path, images: np.ndarray
) -> None:
    assert 0 < error(quantised, model_file, images) < 0.005
    assert error(coarse, model_file, images) > 0.01


def test_the_spectrum_stays_float32(quantised: ModelProto, model_file: Path, images: np.ndarray) -> None:
    before, after = (run(model, images, ["spectrum"]) for model in (onnx.load(model_file), quantised))
    # Another order of the same float32 operations; 8 bits would be off by 4e-3.
    assert np.abs(before - after).max() < 2e-4


def test_no_float_island_is_left_in_the_trunks(quantised: ModelProto, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    # Two trunks of 39 convolutions, with 20 normalisations and 2 poolings each; 18 dense layers.
    assert operators["QLinearConv"] == 2 * (39 + 20 + 2)
    assert operators["QLinearConcat"] == 2 * 18
    assert operators["Conv"] == 0
    assert operators["Relu"] == 2  # of the heatmaps
    # In: an image and a spectrum. Out: the maps of each trunk, to its embedding and to its heatmap.
    assert (operators["QuantizeLinear"], operators["DequantizeLinear"]) == (2, 4)


def test_scales_are_one_a_weight_channel_and_one_for_all_concatenations(
    quantised: ModelProto,
) -> None:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    producers = {output: node for node in quantised.graph.node for output in node.output}
    convolutions = [node for node in quantised.graph.node if node.op_type == "Conv"]
    for node in convolutions:
        weight, bias = (producers[name] for name in node.input[1:])
        assert arrays[weight.input[0]].dtype == np.int8
        assert arrays[bias.input[0]].dtype == np.int32
        assert len(arrays[weight.input[1]]) == len(arrays[weight.input[0]])
    for node in quantised.graph.node:
        if node.op_type == "Concat" and all(name.endswith(".dequantised") for name in node.input):
            scales = {float(arrays[producers[name].input[1]]) for name in node.input}
            assert scales == {np.float32(1 / 255)}


def test_a_channel_that_stands_still_is_not_blown_up() -> None:
    low, high = np.array([0.0, 2.0, 0.0]), np.array([1.0, 2.0, 1e-9])
    scale, zero = int8.scale_of(Range(low, high))
    assert scale == pytest.approx(int8.KEPT * 2 / 255)
    assert zero == 0
    scale, zero = int8.scale_of(Range(np.array([-1.0]), np.array([0.5])))
    assert zero == 128
    assert scale == pytest.approx(1 / 127)


def test_every_weight_is_portable(quantised: ModelProto) -> None:
    file = parse(quantised.SerializeToString())
    assert is_portable(file)
    rounded = [tensor for name, tensor in file.initializers.items() if name.endswith(".weight.integers")]
    assert len(rounded) == 2 * (39 + 20 + 2)


def test_integer_kernels_of_this_cpu_agree_with_exact_arithmetic(
    quantised: ModelProto, images: np.ndarray
) -> None:
    """Where the weights could saturate, embeddings would differ by 0.01 and more without VNNI."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    unfused = onnxruntime.InferenceSession(
        quantised.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    exact = unfused.run(["embedding"], {"image": images})[0]
    assert np.abs(run(quantised, images, ["embedding"])[0] - exact).mean() < 5e-4


@pytest.fixture
def saturating(quantised: ModelProto, model_file: Path, tmp_path: Path) -> Path:
    """A file whose weights are as large as they can be, as those of other tools are."""
    model = ModelProto()
    model.CopyFrom(quantised)
    for tensor in model.graph.initializer:
        if tensor.name.endswith(".weight.integers") and tensor.dims[1] > 1:
            values = numpy_helper.to_array(tensor).astype(int)
            tensor.CopyFrom(
                numpy_helper.from_array((values * 2).clip(-127, 127).astype(np.int8), tensor.name)
            )
    path = tmp_path / "saturating.onnx"
    write_model(model, replace(read_card(model_file), precision="int8"), path)
    return path


def test_weights_that_could_saturate_run_exactly_and_the_summary_says_so(
    saturating: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not read_card(saturating).portable
    monkeypatch.setattr(session, "multiplies_int8_exactly", lambda: False)
    opened = Session.open(saturating, "cpu")
    assert (opened.provider, opened.card.portable) == ("cpu", False)
    assert "no VNNI, so they are computed exactly and slower" in opened.passed_over
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    unfused = onnxruntime.InferenceSession(saturating, options, providers=["CPUExecutionProvider"])
    exact = unfused.run(["embedding"], {"image": images})[0]
    assert np.abs(opened.run(images, ["embedding"])["embedding"] - exact).mean() < 5e-4
    with pytest.raises(CmflError, match=r"could saturate on this CPU.*use --provider onnxruntime"):
        Session.open(saturating, "openvino")
    monkeypatch.setattr(session, "multiplies_int8_exactly", lambda: True)
    assert Session.open(saturating, "cpu").passed_over == ""
    assert Session.open(saturating, "openvino").provider == "openvino"
