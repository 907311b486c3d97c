"""Learning rates: one for all, or one of its own for the spectrum branch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from training.config import TrainConfig
from training.fit import train
from training.model import CmflNet
from training.weights import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("small_trunk")

SPECTRUM = ("trunk_spectrum.", "head_spectrum.")


def config_for(tiny_data: tuple[Path, Path], **changes: Any) -> TrainConfig:
    protocol, root = tiny_data
    config = TrainConfig(
        protocol=str(protocol), data_root=str(root), epochs=1, batch_size=4, workers=0, precision="fp32"
    )
    return replace(config, **changes)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_only_the_spectrum_branch_moves_at_its_rate(
    schedule: str, tiny_data: tuple[Path, Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    start = CmflNet()
    save_weights(start, tmp_path / "start.safetensors", TrainConfig())
    config = config_for(
        tiny_data,
        schedule=schedule,
        init=str(tmp_path / "start.safetensors"),
        lr=1e-12,
        spectrum_lr=1e-3,
        weight_decay=0.0,
    )
    run = train(config, tmp_path / "run", progress=False)
    before, after = start.state_dict(), load_weights(run.best).net.state_dict()
    for name, value in after.items():
        moved = (value - before[name]).abs().max().item()
        assert (moved > 1e-5) == name.startswith(SPECTRUM), name


def test_the_same_rate_is_the_same_run(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    """Two groups of one rate do what one group does."""
    runs = [
        train(
            config_for(tiny_data, schedule="one_cycle", spectrum_lr=rate),
            tmp_path / str(rate),
            progress=False,
        )
        for rate in (0.0, TrainConfig.lr)
    ]
    one, two = (load_weights(run.best).net.state_dict() for run in runs)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_run_with_two_rates_and_an_average_is_resumed(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    config = config_for(tiny_data, lr=1e-4, spectrum_lr=1e-3, average=0.9, standardise_spectrum=True)
    whole = train(replace(config, epochs=2), tmp_path / "whole", progress=False)
    train(config, tmp_path / "parts", progress=False)
    parts = train(replace(config, epochs=2), tmp_path / "parts", resume=True, progress=False)
    one, two = (
        torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"] for run in (whole, parts)
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert (
        len(torch.load(parts.folder / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"])
        == 2
    )
