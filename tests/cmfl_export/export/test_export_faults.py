"""What `cmfl verify` is for: the mistakes that exports are known for, made on purpose, must not pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper
from typer.testing import CliRunner

from cmfl_export.cli import app
from cmfl_export.export import parity
from cmfl_export.images.decoding import decode
from cmfl_export.runtime.session import Session

SCORES = ("p_real", "p_real_rgb", "p_real_spectrum")


def tensor(model: ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    return found


def change(model: ModelProto, name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    found = tensor(model, name)
    array = numpy_helper.to_array(found)
    found.CopyFrom(numpy_helper.from_array(function(array).astype(array.dtype), name))


def exchange(values: Any, one: str, other: str) -> None:
    """Exchanges two strings in a repeated field."""
    for index, value in enumerate(values):
        values[index] = {one: other, other: one}.get(value, value)


def swapped_trunks(model: ModelProto) -> None:
    for found in model.graph.initializer:
        one, other = ".trunk_rgb.", ".trunk_spectrum."
        found.name = found.name.replace(one, "?").replace(other, one).replace("?", other)


def swapped_heads(model: ModelProto) -> None:
    for node in model.graph.node:
        exchange(node.output, "p_real_rgb", "p_real_spectrum")


def swapped_embeddings(model: ModelProto) -> None:
    (concat,) = (node for node in model.graph.node if list(node.output) == ["embedding"])
    concat.input[:] = reversed(concat.input)


def order_statistics(model: ModelProto) -> list[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Each sorting of values, and the two slices that take values from its end."""
    sortings = [n for n in model.graph.node if n.op_type == "TopK" and attribute(n, "sorted").i]
    slices = [node for node in model.graph.node if node.op_type == "Slice"]
    found = [(node, [s for s in slices if s.input[0] == node.output[0]]) for node in sortings]
    assert [len(taken) for _, taken in found] == [2, 2]
    return found


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    found: onnx.AttributeProto = next(one for one in node.attribute if one.name == name)
    return found


def take(model: ModelProto, node: onnx.NodeProto, start: int) -> None:
    """Lets a Slice take the one value at `start`, whatever others read its indices."""
    for place, index in ((1, start), (2, start + 1)):
        node.input[place] = f"{node.name}.{place}"
        model.graph.initializer.append(numpy_helper.from_array(np.array([index]), node.input[place]))


def percentile_off_by_one(model: ModelProto) -> None:
    """The order statistics 2509 and 2510 of 50176 in place of 2508 and 2509."""
    for _, slices in order_statistics(model):
        for node in slices:
            last = numpy_helper.to_array(tensor(model, node.input[1])).item()
            take(model, node, last - 1)


def no_percentiles(model: ModelProto) -> None:
    """The scaling runs from the smallest value to the largest."""
    for sorting, slices in order_statistics(model):
        largest = attribute(sorting, "largest")
        largest.i = 1 - largest.i
        for node in slices:
            take(model, node, 0)


def no_fftshift(model: ModelProto) -> None:
    """The columns stand as a Fourier transform has them, from frequency 0 on."""
    made_by = {node.output[0]: node for node in model.graph.node}
    (last,) = (made_by[node.input[1]] for node in model.graph.node if list(node.output) == ["spectrum"])
    nyquist, negative, positive = last.input
    last.input[:] = [positive, nyquist, negative]


def no_mean_in_the_zero_bin(model: ModelProto) -> None:
    change(model, "net.spectrum.zero_bin", np.zeros_like)


def bgr(model: ModelProto) -> None:
    for node in model.graph.node:
        exchange(node.input, "image", "bgr")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "reversed"))
    model.graph.node.insert(0, helper.make_node("Gather", ["image", "reversed"], ["bgr"], axis=3))


def no_normalisation(model: ModelProto) -> None:
    change(model, "net.mean", np.zeros_like)
    change(model, "net.std", np.ones_like)


LAST_NORM = "net.trunk_spectrum.7.norm"


def batchnorm_mean_not_loaded(model: ModelProto) -> None:
    change(model, f"{LAST_NORM}.running_mean", np.zeros_like)


def batchnorm_of_one_channel(model: ModelProto) -> None:
    """Less than a third of a standard deviation, in one channel of 96 at the very beginning."""

    def moved(mean: np.ndarray) -> np.ndarray:
        shifted: np.ndarray = mean + 0.3 * (np.arange(len(mean)) == 3)
        return shifted

    change(model, "net.trunk_rgb.4.denselayer1.norm1.running_mean", moved)


def batchnorm_epsilon(model: ModelProto) -> None:
    """1e-3, as other frameworks have it."""
    (node,) = (node for node in model.graph.node if f"{LAST_NORM}.running_var" in node.input)
    (epsilon,) = (attribute for attribute in node.attribute if attribute.name == "epsilon")
    epsilon.f = 1e-3


def one_weight_nan(model: ModelProto) -> None:
    def spoiled(weight: np.ndarray) -> np.ndarray:
        weight = weight.copy()
        weight.flat[0] = np.nan
        return weight

    change(model, "net.trunk_rgb.0.weight", spoiled)


SPECTRUM, RGB_SCORES, SPECTRUM_SCORES = {"spectrum"}, {"p_real", "p_real_rgb"}, {"p_real", "p_real_spectrum"}

# What must fail, and what must not.
MUTATIONS: dict[Callable[[ModelProto], None], tuple[set[str], set[str]]] = {
    swapped_trunks: ({*SCORES}, SPECTRUM),
    swapped_heads: ({"p_real_rgb", "p_real_spectrum"}, SPECTRUM | {"p_real"}),
    swapped_embeddings: ({"p_real"}, SPECTRUM | {"p_real_rgb", "p_real_spectrum"}),
    percentile_off_by_one: (SPECTRUM, {"p_real_rgb"}),
    no_percentiles: (SPECTRUM | SPECTRUM_SCORES, {"p_real_rgb"}),
    no_fftshift: (SPECTRUM | SPECTRUM_SCORES, {"p_real_rgb"}),
    no_mean_in_the_zero_bin: (SPECTRUM, {"p_real_rgb"}),
    bgr: (SPECTRUM | {*SCORES}, set()),
    no_normalisation: (RGB_SCORES, SPECTRUM | {"p_real_spectrum"}),
    batchnorm_mean_not_loaded: (SPECTRUM_SCORES, SPECTRUM | {"p_real_rgb"}),
    batchnorm_of_one_channel: (RGB_SCORES, SPECTRUM | {"p_real_spectrum"}),
    batchnorm_epsilon: (SPECTRUM_SCORES, SPECTRUM | {"p_real_rgb"}),
    one_weight_nan: (RGB_SCORES, SPECTRUM | {"p_real_spectrum"}),
}


@pytest.fixture
def mutant(model_file: Path, tmp_path: Path) -> Callable[[Callable[[ModelProto], None]], Path]:
    def make(mutate: Callable[[ModelProto], None]) -> Path:
        model = onnx.load(model_file)
        mutate(model)
        onnx.save(model, tmp_path / "mutant.onnx")
        return tmp_path / "mutant.onnx"

    return make


@pytest.mark.usefixtures("quick")
class TestFaults:
    @pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
    def test_is_caught(
        self,
        mutate: Callable[[ModelProto], None],
        mutant: Callable[[Callable[[ModelProto], None]], Path],
        weights_file: Path,
        photographs: list[Path],
        tmp_path: Path,
    ) -> None:
        inputs = [str(mutant(mutate)), str(weights_file), *map(str, photographs[:2])]
        out = tmp_path / "report.json"
        result = CliRunner().invoke(app, ["verify", *inputs, "--provider", "cpu", "-o", str(out)])
        assert result.exit_code == 1, result.output
        report = json.loads(out.read_text())
        assert report["ok"] is False
        failing = {check["stage"] for check in report["checks"] if not check["ok"]}
        must, must_not = MUTATIONS[mutate]
        assert must <= failing
        assert not failing & (must_not | {"spectrum (torch)"})
        assert "PARITY DOES NOT HOLD: 2 images on cpu" in result.stdout
        assert result.stdout.count("FAIL") == len(failing)

    def test_nan_is_shown_as_such(
        self,
        mutant: Callable[[Callable[[ModelProto], None]], Path],
        weights_file: Path,
        photographs: list[Path],
    ) -> None:
        report = parity.verify(mutant(one_weight_nan), weights_file, [str(photographs[0])], provider="cpu")
        assert not report.ok
        assert np.isnan(report.max_difference)
        assert "max |Δp| nan" in report.lines()[-1]

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        data = json.loads(report.to_json(), parse_constant=refuse)
        assert data["max_difference"] is None
        assert [check["max"] for check in data["checks"] if check["stage"] == "p_real"] == [None]

    def test_decision_flips_are_counted(
        self,
        mutant: Callable[[Callable[[ModelProto], None]], Path],
        model_file: Path,
        weights_file: Path,
        photographs: list[Path],
    ) -> None:
        images = np.stack([decode(path) for path in photographs[:4]])
        scores = np.sort(Session.open(model_file, "cpu").run(images, ["p_real"])["p_real"].astype(np.float64))
        logits = np.log(scores / (1 - scores))
        # Puts the threshold of 0.5 halfway between the two in the middle: whoever stood on the other side
        # of their middle flips.
        shift = -0.5 * (logits[1] + logits[2])
        expected = int(((logits >= 0) != (logits + shift >= 0)).sum())
        if expected == 0:
            shift = -0.5 * (logits[2] + logits[3])
            expected = int(((logits >= 0) != (logits + shift >= 0)).sum())
        assert expected > 0
        model = mutant(lambda model: change(model, "net.head_joint.bias", lambda bias: bias + shift))
        report = parity.verify(model, weights_file, [str(path) for path in photographs[:4]], provider="cpu")
        assert [check.flips for check in report.checks if check.stage == "p_real"] == [expected]
        assert [check.flips for check in report.checks if check.stage == "p_real_rgb"] == [0]
        assert f"FAIL  {expected} decision flips" in "\n".join(report.lines())
