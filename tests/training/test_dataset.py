"""Samples and their order: the same from the same seed, whatever else changes."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmfl_export.base.errors import PackageError
from cmfl_export.images import DataRoot
from protocols import read_split
from training import dataset as module
from training.config import TrainConfig
from training.dataset import Draw, EpochSampler, ProtocolData, ProtocolDataset


def dataset(tiny_data: tuple[Path, Path], **changes: Any) -> ProtocolDataset:
    protocol, root = tiny_data
    options: dict[str, Any] = {"aligned": True, "augment": 0.5, "seed": 1, "train": True} | changes
    return ProtocolDataset(read_split(protocol / "train.csv"), DataRoot.of(root), **options)


def test_sample(tiny_data: tuple[Path, Path]) -> None:
    data = dataset(tiny_data)
    for position, sample in enumerate(data.samples):
        image, target, found = data[Draw(0, position)]
        assert image.shape == (224, 224, 3)
        assert image.dtype == torch.uint8
        assert target == (0.0 if sample.attack_type else 1.0)
        assert found == position


def test_random_numbers_come_from_seed_epoch_and_position(tiny_data: tuple[Path, Path]) -> None:
    first = dataset(tiny_data)
    assert torch.equal(first[Draw(2, 3)][0], dataset(tiny_data)[Draw(2, 3)][0])
    epochs = {first[Draw(epoch, 3)][0].numpy().tobytes() for epoch in range(12)}
    seeds = {dataset(tiny_data, seed=seed)[Draw(2, 3)][0].numpy().tobytes() for seed in range(12)}
    assert len(epochs) > 6
    assert len(seeds) > 6


def test_dev_is_decoded_and_nothing_else(tiny_data: tuple[Path, Path]) -> None:
    data = dataset(tiny_data, train=False, augment=0.0)
    images = [data[Draw(epoch, 0)][0] for epoch in range(3)]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    augmented = dataset(tiny_data, train=False, augment=1.0)
    assert not torch.equal(augmented[Draw(0, 0)][0], images[0])
    sent = dataset(tiny_data, train=False, augment=0.0, resending=1.0)
    assert not torch.equal(sent[Draw(0, 0)][0], images[0])


def test_sampler_visits_each_once_in_a_new_order() -> None:
    sampler = EpochSampler(20, seed=3, shuffle=True)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        draws = list(sampler)
        assert {draw.epoch for draw in draws} == {epoch}
        orders.append([draw.position for draw in draws])
        assert sorted(orders[-1]) == list(range(20))
    assert orders[0] != orders[1] != orders[2]
    again = EpochSampler(20, seed=3, shuffle=True)
    again.set_epoch(1)
    assert [draw.position for draw in again] == orders[1]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_the_work(world: int, shuffle: bool) -> None:
    parts = []
    for rank in range(world):
        sampler = EpochSampler(11, seed=3, shuffle=shuffle, rank=rank, world=world)
        parts.append([draw.position for draw in sampler])
        assert len(parts[-1]) == len(sampler)
    together = sorted(position for part in parts for position in part)
    assert len(set(together)) == len(together)
    if shuffle:
        assert {len(part) for part in parts} == {11 // world}
    else:
        assert together == list(range(11))


def test_neither_workers_nor_an_archive_change_anything(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    protocol, root = tiny_data
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        archive.add(root, ".")
    batches = []
    for workers, place in ((0, root), (2, tmp_path / "faces.tar")):
        config = TrainConfig(protocol=str(protocol), data_root=str(place), batch_size=5, workers=workers)
        data = ProtocolData(config, read_split(protocol / "train.csv"), read_split(protocol / "dev.csv"))
        batches.append(list(data.train_dataloader()) + list(data.val_dataloader()))
    for alone, helped in zip(*batches, strict=True):
        for one, other in zip(alone, helped, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_without_scipy_only_what_is_not_augmented(
    tiny_data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = read_split(tiny_data[0] / "train.csv")
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert ProtocolData(TrainConfig(augment=0.0), samples, [])
    with pytest.raises(PackageError, match=r"augmentation \(scipy\) needs packages that are not installed"):
        ProtocolData(TrainConfig(), samples, [])
