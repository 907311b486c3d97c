"""Trunks that start from ImageNet weights, and the file of these missing or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import DenseNet161_Weights, densenet161

from cmfl_export.base.errors import DownloadError, ModelError
from training.model import CmflNet
from training.pretrained import imagenet_densenet

NAME = "densenet161-8d451a50.pth"


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which torchvision looks for its file."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_both_trunks_start_from_the_file(checkpoints: Path) -> None:
    torch.manual_seed(1)
    state = densenet161().state_dict()
    torch.save(state, checkpoints / NAME)
    net = CmflNet(pretrained=True)
    for trunk in (net.trunk_rgb, net.trunk_spectrum):
        assert torch.equal(trunk.get_parameter("0.weight"), state["features.conv0.weight"])
        assert torch.equal(trunk.get_parameter("7.conv.weight"), state["features.transition2.conv.weight"])
    assert net.trunk_rgb.get_parameter("0.weight") is not net.trunk_spectrum.get_parameter("0.weight")


def test_no_network(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on this port.
    monkeypatch.setattr(DenseNet161_Weights.IMAGENET1K_V1.value, "url", f"http://127.0.0.1:9/{NAME}")
    with pytest.raises(DownloadError, match=r"refused.*another machine and put it at") as caught:
        imagenet_densenet()
    assert str(checkpoints / NAME) in str(caught.value)
    assert not list(checkpoints.iterdir())


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_file(checkpoints: Path, content: bytes) -> None:
    (checkpoints / NAME).write_bytes(content)
    with pytest.raises(ModelError, match="damaged; delete it"):
        imagenet_densenet()


def test_other_weights(checkpoints: Path) -> None:
    torch.save({"features.conv0.weight": torch.zeros(3)}, checkpoints / NAME)
    with pytest.raises(ModelError, match="not the ImageNet weights"):
        imagenet_densenet()
