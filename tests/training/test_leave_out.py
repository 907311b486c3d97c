"""Runs that leave an attack out: what they train on, what they report, and what they go by."""

from __future__ import annotations

import csv
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.images import decode
from cmfl_export.metrics import d_eer
from protocols import Sample, read_split, write_split
from tests.conftest import picture
from training.callbacks import LEFT_OUT_COLUMNS, METRIC_COLUMNS
from training.config import TrainConfig
from training.fit import train
from training.weights import load_weights

pytestmark = pytest.mark.usefixtures("small_trunk")


@pytest.fixture(scope="module")
def two_attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a protocol in it: photographs, stripes across and stripes down."""
    root = tmp_path_factory.mktemp("attacks")
    for split, count in (("train", 6), ("dev", 4)):
        samples = []
        for index, attack in enumerate(("", "across", "down")):
            for number in range(count):
                pixels = picture(1000 * len(split) + 100 * index + number)
                if attack == "across":
                    pixels[::4] //= 2
                if attack == "down":
                    pixels[:, ::4] //= 2
                name = f"{split}-{attack}-{number}.png"
                Image.fromarray(pixels).save(root / name)
                samples.append(Sample(name, name, attack))
        write_split(samples, root / "protocol" / f"{split}.csv")
    return root


@pytest.fixture
def config(two_attacks: Path) -> TrainConfig:
    return TrainConfig(
        protocol=str(two_attacks / "protocol"),
        data_root=str(two_attacks),
        epochs=3,
        batch_size=4,
        lr=1e-3,
        workers=0,
        precision="fp32",
        leave_out="down",
    )


def test_the_epoch_is_chosen_by_the_attack_left_out(
    config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cmfl.train"):
        run = train(config, tmp_path / "run", progress=False)
    # 6 of "across" and as many photographs; dev keeps all its attacks.
    assert "on 12 images, dev 12, left out 6" in caplog.text
    assert "left out D-EER" in caplog.text
    with (run.folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [*METRIC_COLUMNS, *LEFT_OUT_COLUMNS]
    best = min(rows, key=lambda row: float(row["loo_d_eer"]))
    assert run.figures["epoch"] == float(best["epoch"])
    assert f"left out D-EER {100 * float(best['loo_d_eer']):.1f} %" in run.lines()[0]

    # By hand, from the weights: train's rows of the attack against dev's photographs.
    root = Path(config.data_root)
    left_out = [sample for sample in read_split(root / "protocol/train.csv") if sample.attack_type == "down"]
    dev = read_split(root / "protocol/dev.csv")
    for name, samples in (("loo", left_out + [sample for sample in dev if sample.is_real]), ("dev", dev)):
        images = np.stack([decode(root / sample.filename) for sample in samples])
        with torch.no_grad():
            logits = load_weights(run.best).net(torch.from_numpy(images))
        real = np.array([sample.is_real for sample in samples])
        for head, scores in logits._asdict().items():
            suffix = "" if head == "joint" else f"_{head}"
            rate = d_eer(scores.sigmoid().numpy(), real).rate
            assert float(best[f"{name}_d_eer{suffix}"]) == pytest.approx(rate)
    assert load_weights(run.best).config["leave_out"] == "down"


def test_it_may_go_by_dev_all_the_same(config: TrainConfig, tmp_path: Path) -> None:
    run = train(replace(config, monitor="dev_loss", epochs=2), tmp_path / "run", progress=False)
    assert run.figures == min(run.rows, key=lambda row: row["dev_loss"])
    assert "loo_d_eer" in run.figures


def test_early_stopping_and_resuming_know_it(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, early_stop=1, lr=1e-12, weight_decay=0.0)
    # At such a rate nothing gets better, so the second epoch is the last.
    assert len(train(config, tmp_path / "run", progress=False).rows) == 2
    with pytest.raises(CmflError, match="leave_out 'down' -> ''"):
        train(replace(config, leave_out=""), tmp_path / "run", resume=True, progress=False)


def test_a_wrong_name_ends_it_before_anything_is_read(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="no attack 'up' to leave out; it has: across"):
        train(replace(config, leave_out="up", data_root="nowhere"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_left_out_files_that_are_missing_are_named(config: TrainConfig, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(config.data_root, root)
    (root / "train-down-3.png").unlink()
    config = replace(config, data_root=str(root), epochs=1)
    with pytest.raises(CmflError, match=r"^train \(left out\): 1 of 6 .*train-down-3\.png"):
        train(config, tmp_path / "run", progress=False)
    assert len(train(config, tmp_path / "run", skip_missing=True, progress=False).rows) == 1
