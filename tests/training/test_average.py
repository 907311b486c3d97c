"""The running average of the weights: what it leaves exactly as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.callbacks import AverageWeights
from training.config import TrainConfig
from training.fit import train
from training.module import CmflModule
from training.weights import load_weights

pytestmark = pytest.mark.usefixtures("small_trunk")


def test_what_is_fixed_is_not_rounded(
    tiny_data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, root = tiny_data
    seen = []
    end = CmflModule.on_validation_epoch_end

    def watching(self: CmflModule) -> None:
        seen.append({name: value.clone() for name, value in self.named_buffers()})
        end(self)

    monkeypatch.setattr(CmflModule, "on_validation_epoch_end", watching)
    config = TrainConfig(
        protocol=str(protocol),
        data_root=str(root),
        epochs=3,
        batch_size=2,
        workers=0,
        precision="fp32",
        average=0.93,
        standardise_spectrum=True,
    )
    run = train(config, tmp_path / "run", progress=False)
    fixed = dict(CmflModule(config).named_buffers())
    state = torch.load(run.folder / "last.ckpt", weights_only=True)
    for name in ("net.standardise.mean", "net.standardise.deviation"):
        fixed[name] = state["current_model_state"][name]
        assert torch.equal(state["state_dict"][name], fixed[name])
    assert {"net.spectrum.cos_rows", "net.std", "net.standardise.mean"} <= fixed.keys()
    for buffers in seen:
        assert all(torch.equal(buffers[name], value) for name, value in fixed.items())
    load_weights(run.best)


def test_a_step_moves_the_average_by_its_share() -> None:
    move = AverageWeights(0.75)._moved
    average = move(torch.tensor([1.0, 0.05]), torch.tensor([3.0, 0.05]), 5)
    assert average.tolist() == [1.5, torch.tensor(0.05).item()]
    assert move(torch.tensor(3), torch.tensor(4), 5).item() == 4
