"""Weights read back from an exported file: the same scores, and clear words where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cmfl_export.base.errors import CmflError
from cmfl_export.export.run import export
from models_zoo import registry
from tests.cmfl_export import tiny_model
from tests.conftest import lively_network, picture
from training.config import TrainConfig
from training.model import CmflNet
from training.weights import Weights, load_weights, save_weights, start_from

IMAGES = torch.from_numpy(np.stack([picture(seed) for seed in range(20, 23)]))


def logits(net: CmflNet) -> np.ndarray:
    with torch.no_grad():
        return np.stack([value.numpy() for value in net(IMAGES) if value is not None])


def test_the_same_scores(model_file: Path, weights_file: Path) -> None:
    found, original = load_weights(model_file), load_weights(weights_file)
    assert isinstance(found, Weights)
    assert not found.net.training
    np.testing.assert_allclose(logits(found.net), logits(original.net), atol=1e-4)
    assert np.ptp(logits(original.net)) > 0.1
    # verify then says that the card names these weights.
    assert found.sha256 == original.sha256


def test_training_goes_on_from_them(model_file: Path) -> None:
    net = CmflNet()
    start_from(net, str(model_file))
    source = load_weights(model_file).net
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), source.parameters(), strict=True))
    net.train()(IMAGES).joint.sum().backward()
    assert all(value.grad is not None for value in net.head_joint.parameters())


def test_the_starter_can_be_read() -> None:
    path = registry.get("starter").path_of_weights()
    assert load_weights(path).net.architecture == "two_stream"


def test_one_stream_on_standardised_spectra(tmp_path: Path) -> None:
    values = {"protocol": "p", "architecture": "one_stream", "spectra": "fft", "loss": "bce"}
    config = TrainConfig.from_dict(values | {"standardise_spectrum": True})
    whole = CmflNet("one_stream", "fft", standardise=True).eval()
    whole.load_state_dict(lively_network("one_stream", "fft").state_dict(), strict=False)
    whole.standardise.mean.uniform_(-0.5, 0.5)
    whole.standardise.deviation.uniform_(0.3, 0.6)
    save_weights(whole, tmp_path / "w.safetensors", config)
    export(tmp_path / "w.safetensors", tmp_path / "m.onnx")
    found = load_weights(tmp_path / "m.onnx").net
    assert found.standardises
    np.testing.assert_allclose(logits(found), logits(whole), atol=2e-4)


def test_not_from_a_reduced_file() -> None:
    path = registry.get("starter").path_of_weights("int8")
    with pytest.raises(CmflError, match=r"is int8; weights can only be read from an fp32 file"):
        load_weights(path)


def test_a_file_without_the_network(tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path / "tiny.onnx")
    with pytest.raises(CmflError, match=r"has no weights of two_stream multi to read: trunk_rgb\.0\.weight"):
        load_weights(path)
