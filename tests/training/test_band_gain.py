"""Random gains per band: what they change, what they leave, and that a resumed run draws the same ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from training.band_gain import BANDS, BandGain
from training.config import TrainConfig
from training.fit import train
from training.weights import load_weights


def test_one_gain_at_all_radii_moves_the_whole_spectrum() -> None:
    spectrum = torch.rand((2, 3, 224, 224), generator=torch.Generator().manual_seed(0)) - 0.5
    gains = torch.tensor([[0.3] * BANDS, [0.0] * BANDS])
    found = BandGain(0.1, seed=0)(spectrum, gains)
    torch.testing.assert_close(found[0], spectrum[0] + 0.3)
    assert torch.equal(found[1], spectrum[1])


def test_a_gain_depends_on_the_radius_alone_and_stays_in_range() -> None:
    module = BandGain(0.1, seed=0)
    gains = torch.zeros((1, BANDS))
    gains[0, 0], gains[0, 4], gains[0, 8] = 0.5, 0.25, 3.0
    found = module(torch.zeros((1, 3, 224, 224)), gains)
    centre = 112
    assert (found[..., centre, centre] == 0.5).all()
    # Half way to the corner, across and down alike; a diagonal is longer.
    side = round(112 * 2**0.5 / 2)
    for place in ((centre, centre + side), (centre - side, centre)):
        torch.testing.assert_close(found[0, :, place[0], place[1]], torch.full((3,), 0.25), atol=0.01, rtol=0)
    assert (found[..., 0, 0] == 1.0).all()
    assert (found[:, 0] == found[:, 1]).all()


def test_the_draws_are_those_of_seed_epoch_and_position() -> None:
    module = BandGain(0.2, seed=7)
    positions = torch.tensor([4, 900])
    first = module.draw(3, positions)
    assert torch.equal(module.draw(3, positions.flip(0)), first.flip(0))
    assert torch.equal(BandGain(0.2, seed=7).draw(3, positions), first)
    assert not torch.equal(module.draw(4, positions), first)
    many = module.draw(0, torch.arange(400))
    assert many.std().item() == pytest.approx(0.2, rel=0.05)
    assert abs(many.mean().item()) < 0.01


@pytest.mark.usefixtures("small_trunk")
def test_a_run_with_it(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    protocol, root = tiny_data
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "workers": 0, "precision": "fp32"}
    config = TrainConfig(protocol=str(protocol), data_root=str(root), band_gain=0.3, **settings)
    whole = train(config, tmp_path / "whole", progress=False)
    train(replace(config, epochs=1), tmp_path / "parts", progress=False)
    parts = train(config, tmp_path / "parts", resume=True, progress=False)
    without = train(replace(config, band_gain=0.0), tmp_path / "without", progress=False)
    states = [
        torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"]
        for run in (whole, parts, without)
    ]
    assert states[0].keys() == states[1].keys() == states[2].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    for name in ("trunk_spectrum.0.weight", "trunk_rgb.0.weight"):
        key = f"net.{name}"
        assert not torch.equal(states[0][key], states[2][key])
    assert load_weights(whole.best).config["band_gain"] == 0.3
