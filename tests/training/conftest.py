"""What the tests of training share."""

from __future__ import annotations

import pytest
from torch import nn

from training import model


@pytest.fixture
def small_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of one convolution a branch, where what is trained does not matter."""

    def make_trunk(_pretrained: bool = False) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, model.WIDTH, 16, stride=16))

    monkeypatch.setattr(model, "make_trunk", make_trunk)
