"""Normalisations measured anew: the same function, and training starts from it."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models_zoo import registry
from tests.conftest import lively_network, picture
from training import normalisations
from training.config import TrainConfig
from training.fit import train
from training.model import CmflNet, Logits
from training.weights import load_weights, start_from

IMAGES = torch.from_numpy(np.stack([picture(seed, 96) for seed in range(40, 48)]))
BATCHES = (IMAGES[:4], IMAGES[4:])


def logits(net: CmflNet) -> Tensor:
    with torch.no_grad():
        found: Logits = net(IMAGES)
    return found.joint


def settled() -> CmflNet:
    """A network whose normalisations have the statistics of the images."""
    net = lively_network("one_stream", "rgb").train()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = 1.0
    logits(net)
    return net.eval()


def fold(net: CmflNet) -> None:
    """Does to the first convolution and that of a layer what an export does."""
    layer = net.trunk_rgb.get_submodule("4.denselayer1")
    pairs = [(net.trunk_rgb[0], net.trunk_rgb[1]), (layer.conv1, layer.norm2)]
    for conv, norm in pairs:
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            conv.weight.mul_(factor[:, None, None, None])
            norm.bias.sub_(norm.running_mean * factor)
            norm.weight.fill_((1.0 + norm.eps) ** 0.5)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0)


def test_the_same_function_and_training_starts_from_it() -> None:
    net = settled()
    before = logits(net)
    fold(net)
    assert len(normalisations.folded(net)) == 2
    broken = logits(copy.deepcopy(net).train())
    assert (broken - before).abs().mean() > 0.1 * before.std()
    normalisations.measure(net, BATCHES)
    assert not net.training
    assert not normalisations.folded(net)
    torch.testing.assert_close(logits(net), before, rtol=0, atol=1e-3 * float(before.std()))
    # The images of the batch are those that were measured.
    torch.testing.assert_close(logits(net.train()), before, rtol=0, atol=0.02 * float(before.std()))


def test_an_exported_file() -> None:
    net = CmflNet("one_stream", "rgb").eval()
    start_from(net, str(registry.get("starter").path_of_weights()))
    before = logits(net)
    # The first one, and the second of each of 6 + 12 layers.
    assert len(normalisations.folded(net)) == 19
    normalisations.measure(net, BATCHES)
    assert not normalisations.folded(net)
    torch.testing.assert_close(logits(net), before, rtol=0, atol=1e-4)


def test_a_network_that_was_not_exported_has_none() -> None:
    assert not normalisations.folded(CmflNet("one_stream", "rgb"))
    assert not normalisations.folded(settled())


def test_a_run_measures_them(
    tiny_data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    protocol, root = map(str, tiny_data)
    starter = registry.get("starter").path_of_weights()
    # A rate too small to move anything: what comes out is what went in.
    config = TrainConfig(
        protocol=protocol,
        data_root=root,
        architecture="one_stream",
        spectra="rgb",
        loss="bce",
        init=str(starter),
        epochs=1,
        crop=96,
        lr=1e-12,
        weight_decay=0.0,
        workers=0,
    )
    with caplog.at_level(logging.INFO, "cmfl.train"):
        run = train(config, tmp_path / "run", progress=False)
    assert f"measuring the normalisations of {starter} on 12 training images" in caplog.text
    net = load_weights(run.best).net
    assert not normalisations.folded(net)
    norm = net.trunk_rgb[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.weight.std() > 0
