"""The network's form: what the paper says of it, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import densenet161

from tests.conftest import lively_network, picture
from training.config import Spectra
from training.model import IMAGENET_MEAN, IMAGENET_STD, CmflNet, check_architecture, make_trunk


@pytest.fixture(scope="module")
def net() -> CmflNet:
    return lively_network()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.stack([picture(seed) for seed in range(3)]))


def test_trunk_is_densenet161_up_to_transition2() -> None:
    trunk = make_trunk()
    names = list(dict(densenet161().features.named_children()))[:8]
    assert names[-1] == "transition2"
    assert len(trunk) == 8
    # METHOD: 3.198 M parameters a branch, 384 channels of 14x14.
    assert sum(parameter.numel() for parameter in trunk.parameters()) == pytest.approx(3.198e6, rel=1e-3)
    assert trunk.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 384, 14, 14)


def test_three_heads(net: CmflNet, images: torch.Tensor) -> None:
    with torch.no_grad():
        logits = net(images)
    assert [tuple(head.shape) for head in logits] == [(3,)] * 3
    assert net.head_joint.in_features == 768
    assert net.head_rgb.in_features == net.head_spectrum.in_features == 384


def test_composition(net: CmflNet, images: torch.Tensor) -> None:
    """The forward pass written out: normalise, trunk, mean, sigmoid, heads."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        rgb = torch.sigmoid(net.trunk_rgb((pixels - mean) / std).mean(dim=(2, 3)))
        spectrum = torch.sigmoid(net.trunk_spectrum(net.spectrum(pixels)).mean(dim=(2, 3)))
        expected = [
            net.head_joint(torch.cat([rgb, spectrum], dim=1)),
            net.head_rgb(rgb),
            net.head_spectrum(spectrum),
        ]
        for found, value in zip(net(images), expected, strict=True):
            torch.testing.assert_close(found, value[:, 0], atol=1e-5, rtol=1e-5)


def test_the_branches_see_different_things(net: CmflNet, images: torch.Tensor) -> None:
    """A cyclic shift changes no magnitude: the spectrum branch does not notice, the RGB branch does."""
    shifted = torch.roll(images, shifts=(31, 17), dims=(1, 2))
    with torch.no_grad():
        before, after = net(images), net(shifted)
    assert (before.spectrum - after.spectrum).abs().max() < 1e-2
    assert (before.rgb - after.rgb).abs().max() > 1e-1


@pytest.mark.parametrize("spectra", ["rgb", "fft"])
def test_one_stream(spectra: Spectra, images: torch.Tensor) -> None:
    net = CmflNet("one_stream", spectra).eval()
    with torch.no_grad():
        logits = net(images[:1])
    assert logits.joint.shape == (1,)
    assert logits.rgb is None
    assert logits.spectrum is None
    assert hasattr(net, "trunk_rgb") == (spectra == "rgb")
    assert hasattr(net, "trunk_spectrum") == (spectra == "fft")


@pytest.mark.parametrize(
    ("architecture", "spectra"), [("two_stream", "rgb"), ("one_stream", "multi"), ("x", "rgb")]
)
def test_what_does_not_go_together(architecture: str, spectra: str) -> None:
    with pytest.raises(ValueError, match="one_stream with rgb or fft"):
        check_architecture(architecture, spectra)
