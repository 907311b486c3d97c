"""Networks that standardise the spectrum: their scores in every precision, and what verify says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from cmfl_export.base.errors import CmflError
from cmfl_export.export import parity
from cmfl_export.export.reduce import Limits, reduce
from cmfl_export.export.run import export
from cmfl_export.images import decode
from cmfl_export.runtime.openvino import OpenVinoModel
from cmfl_export.runtime.session import Session
from tests.cmfl_export.export.conftest import few_images
from tests.conftest import lively_network, picture
from training import model
from training.config import TrainConfig
from training.deploy import Float64Network
from training.model import CmflNet, to_unit
from training.weights import load_weights, save_weights

SCORES = ("p_real", "p_real_rgb", "p_real_spectrum")
CONFIG = TrainConfig(protocol="p", standardise_spectrum=True)
IMAGES = np.stack([picture(seed) for seed in range(40, 47)])


@pytest.fixture(scope="module")
def short_trunks() -> Iterator[None]:
    """Trunks of two convolutions, in all networks that these tests make or load."""
    with pytest.MonkeyPatch.context() as patch:

        def make_trunk(_pretrained: bool = False) -> nn.Sequential:
            first = nn.Conv2d(3, 32, 8, stride=4, padding=2)
            return nn.Sequential(first, nn.ReLU(), nn.Conv2d(32, model.WIDTH, 4, stride=4))

        patch.setattr(model, "make_trunk", make_trunk)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, short_trunks: None) -> Path:
    """Weights of a lively network that standardises, its export, and weights of one that does not."""
    folder = tmp_path_factory.mktemp("standardised")
    plain = lively_network()
    save_weights(plain, folder / "plain.safetensors", TrainConfig(protocol="p"))
    net = CmflNet(standardise=True)
    net.load_state_dict(plain.state_dict(), strict=False)
    pixels = torch.from_numpy(np.stack([picture(seed) for seed in range(20)]))
    with torch.no_grad():
        net.standardise.measure([net.spectrum(to_unit(pixels))])
        # Scores that tell the images apart.
        values = net(pixels).spectrum
        net.head_spectrum.weight /= values.std()
        net.head_spectrum.bias.copy_((net.head_spectrum.bias - values.mean()) / values.std())
    save_weights(net, folder / "best.safetensors", CONFIG)
    export(folder, folder / "model.onnx", outputs=["spectrum"])
    return folder


def from_torch(folder: Path) -> dict[str, np.ndarray]:
    with torch.no_grad():
        logits = load_weights(folder).net(torch.from_numpy(IMAGES))
    return {name: value.sigmoid().numpy() for name, value in zip(SCORES, logits, strict=True)}


def test_in_float64_as_well(folder: Path) -> None:
    exact, single = Float64Network(load_weights(folder).net).scores(IMAGES), from_torch(folder)
    for name in SCORES:
        np.testing.assert_allclose(exact[name], single[name], atol=1e-4)


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_the_file_computes_what_the_network_computes(folder: Path, provider: str) -> None:
    session = Session.open(folder / "model.onnx", provider)
    found, expected = session.run(IMAGES), from_torch(folder)
    assert session.outputs == (*SCORES, "spectrum")
    for name in SCORES:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    assert np.ptp(expected["p_real_spectrum"]) > 0.1
    with torch.no_grad():
        spectrum = CmflNet().spectrum(to_unit(torch.from_numpy(IMAGES)))
    # The output is the plain spectrum.
    np.testing.assert_allclose(found["spectrum"], spectrum.numpy(), atol=2e-4)


def test_the_card_says_it(folder: Path) -> None:
    assert Session.open(folder / "model.onnx", "cpu").card.training["standardise_spectrum"] is True


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 5e-3), ("int8", 5e-2)])
def test_reduced(folder: Path, photographs: list[Path], precision: str, tolerance: float) -> None:
    out = folder / f"{precision}.onnx"
    images = photographs[0].parent
    with pytest.MonkeyPatch.context() as patch:
        few_images(patch)
        patch.setattr("cmfl_export.export.calibration_images.LEAST", 4)
        reduce(folder / "model.onnx", out, precision, images, limits=Limits(flips=0.5))
    graph = onnx.load(out).graph
    (made,) = [node for node in graph.node if "spectrum_standardised" in node.output]
    assert made.op_type == "Clip"
    with torch.no_grad():
        spectrum = CmflNet().spectrum(to_unit(torch.from_numpy(IMAGES))).numpy()
    expected = from_torch(folder)
    for provider in ("onnxruntime", "openvino"):
        found = Session.open(out, provider).run(IMAGES)
        # In half precision neither the spectrum nor what is made of it before the trunk.
        np.testing.assert_allclose(found["spectrum"], spectrum, atol=2e-4)
        for name in SCORES:
            np.testing.assert_allclose(found[name], expected[name], atol=tolerance, err_msg=provider)


def test_eight_bits_span_four_deviations_at_most(folder: Path, photographs: list[Path]) -> None:
    from cmfl_export.export.int8 import quantise

    pixels = np.stack([decode(path) for path in photographs[:4]])
    graph = quantise(onnx.load(folder / "model.onnx"), pixels).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert 2 / 127 < arrays["spectrum_standardised.scale"] <= 4 / 127 + 1e-6


def test_verify(folder: Path, photographs: list[Path]) -> None:
    files = [str(path) for path in photographs]
    report = parity.verify(folder / "model.onnx", folder, files, provider="cpu")
    assert report.ok
    stages = [check.stage for check in report.checks]
    assert stages[:3] == ["spectrum", "spectrum (torch)", "standardised"]

    # Other statistics than the file's are found, and named by their stage.
    net = load_weights(folder).net
    with torch.no_grad():
        net.standardise.mean += 0.01
    save_weights(net, folder / "moved.safetensors", CONFIG)
    moved = parity.verify(folder / "model.onnx", folder / "moved.safetensors", files, provider="cpu")
    assert next(check.stage for check in moved.checks if not check.ok) == "standardised"

    with pytest.raises(CmflError, match=r"model\.onnx standardises the spectrum and .*plain\.safetensors"):
        parity.verify(folder / "model.onnx", folder / "plain.safetensors", files, provider="cpu")
    export(folder / "plain.safetensors", folder / "plain.onnx")
    with pytest.raises(CmflError, match=r"best\.safetensors standardises the spectrum and .*plain\.onnx"):
        parity.verify(folder / "plain.onnx", folder, files, provider="cpu")


@pytest.mark.parametrize("name", ["model", "plain"])
def test_what_openvino_computes_in_half_precision_begins_behind_it(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor has bfloat16; where it has not, the parts are those, and both run in float32.

    OpenVINO's emulation of bfloat16, which no `OpenVinoModel` asks for, is wrong on AVX-512 without it.
    """
    own = OpenVinoModel._half_precision
    monkeypatch.setattr(OpenVinoModel, "_half_precision", lambda _: "bf16")
    file = folder / f"{name}.onnx"
    if name == "plain":
        export(folder / "plain.safetensors", file, outputs=["spectrum"])
    network = OpenVinoModel(file, file.read_bytes(), "fp16", 2)
    (before, _), (behind, _) = network._parts
    inputs = ["spectrum", "spectrum_standardised"][: 2 if name == "model" else 1]
    assert [sorted(output.names)[0] for output in before.outputs] == inputs
    assert "Log" in {node.get_type_name() for node in before.get_ops()}
    # Behind it nothing is left to be standardised, or transformed.
    assert len(behind.get_parameters()) == 1 + len(inputs)
    used = {node.get_type_name() for node in behind.get_ordered_ops()}
    assert not used & {"Log", "Clamp", "TopK"}
    network._parts = [(before, "f32"), (behind, own(network))]
    scores, spectrum = network.run(["p_real_spectrum", "spectrum"], IMAGES)
    exact = Session.open(file, "cpu").run(IMAGES)
    np.testing.assert_allclose(scores, exact["p_real_spectrum"], atol=2e-2)
    # The output does not go through half precision, which would round it by 2e-3.
    np.testing.assert_allclose(spectrum, exact["spectrum"], atol=2e-4)
