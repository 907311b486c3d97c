"""The command `cmfl` with short networks: python short_networks.py train ...

For what needs a process of its own and does not depend on what is trained. The networks have what the real
ones have (convolutions, normalisations, maps that are joined and averaged), in four dense layers per branch.
"""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet

from cmfl_export import cli
from training import model

DIE = "DIE_IN_THE_SECOND_EPOCH"  # an environment variable


def make_trunk(_pretrained: bool = False) -> nn.Sequential:
    """Takes the place of `model.make_trunk`: [B, 3, 224, 224] -> [B, 384, 14, 14]."""
    features = DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16).features
    return nn.Sequential(features, nn.Conv2d(32, model.WIDTH, 1, stride=2))


def main() -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(model, "make_trunk", make_trunk)
    if DIE in os.environ:
        die_in_the_second_epoch(patch)
    cli.main()


def die_in_the_second_epoch(patch: pytest.MonkeyPatch) -> None:
    """A training will kill its process, and all that this has started, between two steps."""
    from training.dataset import Batch
    from training.module import CmflModule

    step = CmflModule.training_step

    def last_step(module: CmflModule, batch: Batch, index: int) -> torch.Tensor:
        if (module.current_epoch, index) == (1, 1):
            os.killpg(0, signal.SIGKILL)
        return step(module, batch, index)

    patch.setattr(CmflModule, "training_step", last_step)


if __name__ == "__main__":
    main()
