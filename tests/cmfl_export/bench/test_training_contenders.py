"""What training is measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest
import torch

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import training_contenders
from protocols import read_split
from training import model
from training.config import TrainConfig


@pytest.fixture
def config(tiny_data: tuple[Path, Path]) -> TrainConfig:
    protocol, root = tiny_data
    return TrainConfig(protocol=str(protocol), data_root=str(root), batch_size=5, workers=0)


@pytest.fixture
def step(config: TrainConfig, small_trunk: None) -> training_contenders.Step:
    return training_contenders.Step(asdict(config), "bf16", "cpu", None)


class TestStep:
    def test_steps_change_the_weights(self, step: training_contenders.Step) -> None:
        run = step.unit("step", 0.0)
        before = [value.clone() for value in step._net.parameters()]
        assert run() == 5
        assert all(not torch.equal(old, new) for old, new in zip(before, step._net.parameters(), strict=True))
        assert step._net.training

    def test_plain_is_the_same_step_with_other_means(self, config: TrainConfig, small_trunk: None) -> None:
        made = []
        for plain in (False, True):
            torch.manual_seed(0)
            step = training_contenders.Step(asdict(config), "fp32", "cpu", None, plain=plain)
            step.unit("step", 0.0)()
            made.append(step)
        one, other = (dict(step._net.named_parameters()) for step in made)
        assert all(torch.allclose(value, other[name], atol=1e-6) for name, value in one.items())
        weights = [found["trunk_rgb.0.weight"] for found in (one, other)]
        assert [weight.is_contiguous() for weight in weights] == [False, True]
        assert [step._optimizer.defaults["fused"] for step in made] == [True, False]

    def test_the_arithmetic_of_an_image(self, step: training_contenders.Step) -> None:
        trunks = 2 * 2 * 14 * 14 * model.WIDTH * 3 * 16 * 16
        spectrum = 2 * 3 * 113 * 224 * (113 + 111 + 4 * 113)
        heads = 2 * (2 * model.WIDTH + model.WIDTH + model.WIDTH)
        assert step.about()["operations"] == trunks + spectrum + heads
        assert step._net.training

    def test_fed_goes_through_the_data_again_and_again(self, step: training_contenders.Step) -> None:
        run = step.unit("fed", 0.0)
        # 12 images in batches of 5.
        assert [run() for _ in range(4)] == [5, 5, 2, 5]


def test_every_epoch_has_an_order_of_its_own(config: TrainConfig) -> None:
    batches = islice(training_contenders.endless(config), 6)
    positions = [position for batch in batches for position in batch.positions.tolist()]
    first, second = positions[:12], positions[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_the_loader_alone(config: TrainConfig) -> None:
    loader = training_contenders.Loader(asdict(config), None)
    run = loader.unit("loader", 0.0)
    assert [run() for _ in range(3)] == [5, 5, 2]


class TestProtocol:
    def test_of_the_user(self, config: TrainConfig) -> None:
        with training_contenders.protocol_of(config) as (found, words):
            assert found == config
            assert words == f"12 images of {config.protocol}"

    def test_drawn(self) -> None:
        with training_contenders.protocol_of(TrainConfig(batch_size=3)) as (found, words):
            samples = read_split(Path(found.protocol) / "train.csv")
            assert found.batch_size == 3
            assert sum(sample.is_real for sample in samples) == len(samples) / 2 == 32
            assert all((Path(found.data_root) / sample.filename).is_file() for sample in samples)
            assert words.startswith("64 drawn images")
        assert not Path(found.protocol).exists()

    def test_without_a_data_root(self, config: TrainConfig) -> None:
        def enter() -> Iterator[object]:
            with training_contenders.protocol_of(TrainConfig(protocol=config.protocol)) as found:
                yield found

        with pytest.raises(CmflError, match="no data root given; use --data-root"):
            next(enter())


def test_contenders(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has_bf16, names in (
        (True, ["training fp32", "training bf16", "plain eager fp32", "loader alone"]),
        (False, ["training fp32", "plain eager fp32", "loader alone"]),
    ):
        monkeypatch.setattr(training_contenders, "cpu_has_bf16", lambda has=has_bf16: has)
        entries, device = training_contenders.of_training(config)
        assert [entry.name for entry in entries] == names
        assert device == "cpu"
        assert TrainConfig.from_dict(entries[0].options["config"]) == config
