"""Training on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import picture
from training.config import TrainConfig
from training.fit import train
from training.module import CmflModule

pytestmark = pytest.mark.gpu

DEVICE = "cuda"


def test_a_step_in_bf16() -> None:
    torch.manual_seed(0)
    module = CmflModule(TrainConfig()).to(DEVICE).train()
    images = torch.from_numpy(np.stack([picture(number) for number in range(4)])).to(DEVICE)
    targets = torch.tensor([0.0, 1.0, 0.0, 1.0], device=DEVICE)
    optimizer = torch.optim.Adam(module.net.parameters(), 1e-4, fused=True)
    before = {name: value.detach().clone() for name, value in module.net.named_parameters()}
    with torch.autocast(DEVICE, torch.bfloat16):
        logits = module.net(images)
    loss = module.loss(logits, targets)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    moved = [name for name, value in module.net.named_parameters() if not torch.equal(value, before[name])]
    assert len(moved) > 0.9 * len(before)
    assert all(torch.isfinite(value).all() for value in module.net.parameters())


def test_a_run(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    protocol, root = tiny_data
    config = TrainConfig(
        protocol=str(protocol), data_root=str(root), epochs=1, batch_size=4, precision="bf16", workers=0
    )
    found = train(config, tmp_path / "run", progress=False)
    assert np.isfinite(found.rows[0]["train_loss"])
    assert (tmp_path / "run" / "best.safetensors").exists()
