"""The cosine filters and where they go."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from training.config import TrainConfig
from training.model import CmflNet
from training.module import CmflModule
from training.stem import cosine_filters


def test_filters_are_an_orthonormal_set_from_low_to_high() -> None:
    filters = cosine_filters()
    assert filters.shape == (96, 3, 7, 7)
    flat = filters.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(96), atol=1e-5, rtol=0)
    # The first sees brightness alone, and all of it alike.
    torch.testing.assert_close(filters[0], torch.full((3, 7, 7), filters[0, 0, 0, 0].item()))
    # The 49 of brightness leave nothing of a grey patch over; the others do not see it.
    patch = torch.rand(7, 7).expand(3, 7, 7).flatten()
    assert (flat[:49] @ patch).norm() == pytest.approx(patch.norm().item(), rel=1e-5)
    assert (flat[49:] @ patch).abs().max() < 1e-5


@pytest.mark.parametrize("stem", ["random", "dct"])
def test_the_configuration_decides(stem: Literal["random", "dct"]) -> None:
    net = CmflModule(TrainConfig(stem=stem)).net
    assert isinstance(net, CmflNet)
    for trunk in (net.trunk_rgb, net.trunk_spectrum):
        assert torch.equal(trunk.get_parameter("0.weight"), cosine_filters()) == (stem == "dct")
