"""Training runs from end to end, at the smallest size: what they leave, and how they go on after a kill."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cmfl_export.base.errors import CmflError
from cmfl_export.images.decoding import decode
from protocols import read_split
from tests.training import short_networks
from training import model
from training.callbacks import METRIC_COLUMNS
from training.config import TrainConfig
from training.fit import choose_precision, train, train_from
from training.model import Logits
from training.module import make_loss
from training.weights import load_weights

CMFL = (sys.executable, short_networks.__file__)
REAL_TRUNK = model.make_trunk
SAME_EVERY_TIME = [name for name in METRIC_COLUMNS if name not in ("seconds", "images_per_second")]


def tiny_config(tiny_data: tuple[Path, Path], **changes: Any) -> TrainConfig:
    protocol, root = tiny_data
    config = TrainConfig(
        protocol=str(protocol), data_root=str(root), epochs=3, batch_size=4, lr=1e-3, workers=1
    )
    return replace(config, **changes)


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Short networks, as these tests are about what is made of any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "make_trunk", short_networks.make_trunk)
        yield


@pytest.fixture(scope="module")
def config(tiny_data: tuple[Path, Path]) -> TrainConfig:
    """Everything that has a state: schedule, accumulation, early stopping, augmentation, average weights."""
    return tiny_config(
        tiny_data,
        schedule="one_cycle",
        accumulate=2,
        clip=5.0,
        early_stop=3,
        save_every=2,
        average=0.5,
        augmentation="broad",
    )


@pytest.fixture(scope="module")
def finished(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "whole"
    train(config, out, progress=False)
    return out


def test_run_folder(finished: Path, config: TrainConfig) -> None:
    names = {path.name for path in finished.iterdir()}
    expected = {"config.toml", "best.safetensors", "last.ckpt", "metrics.csv", "tensorboard"}
    assert names == expected | {"epoch_002.safetensors"}
    assert list((finished / "tensorboard").iterdir())
    assert TrainConfig.from_toml(finished / "config.toml") == config
    rows = rows_of(finished)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert all(row[name] for row in rows for name in METRIC_COLUMNS)
    best = min(rows, key=lambda row: float(row["dev_loss"]))
    weights = load_weights(finished)
    assert weights.metrics["dev_loss"] == float(best["dev_loss"])
    assert TrainConfig(**weights.config) == config


def test_the_average_of_the_weights_is_what_dev_saw_and_what_is_kept(finished: Path) -> None:
    last = torch.load(finished / "last.ckpt", weights_only=True)
    # Lightning's names: `state_dict` is the average, `current_model_state` what the optimizer moves.
    average, current = (last[key]["net.head_joint.weight"] for key in ("state_dict", "current_model_state"))
    assert not torch.equal(average, current)
    kept = load_weights(finished / "epoch_002.safetensors").net.head_joint.weight
    best = load_weights(finished).net.head_joint.weight
    rows = rows_of(finished)
    if min(rows, key=lambda row: float(row["dev_loss"])) is rows[-1]:
        assert torch.equal(best, average)
    else:
        assert not torch.equal(best, average)
    assert not torch.equal(kept, current)


def test_last_checkpoint_holds_nothing_but_data(finished: Path) -> None:
    torch.load(finished / "last.ckpt", weights_only=True)


def test_killed_and_resumed_is_as_if_uninterrupted(
    finished: Path, config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    config_file = tmp_path / "config.toml"
    config_file.write_text(config.to_toml())
    killed = subprocess.run(
        [*CMFL, "train", "--config", config_file, "-o", out],
        env=os.environ | {short_networks.DIE: "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(rows_of(out)) == 1
    torch.load(out / "last.ckpt", weights_only=True)

    run = train_from(out, resume=True, progress=False)
    assert len(run.rows) == 3
    for mine, theirs in zip(rows_of(out), rows_of(finished), strict=True):
        assert {name: mine[name] for name in SAME_EVERY_TIME} == {
            name: theirs[name] for name in SAME_EVERY_TIME
        }
    ours, uninterrupted = (torch.load(path / "last.ckpt", weights_only=True) for path in (out, finished))
    assert ours["state_dict"].keys() == uninterrupted["state_dict"].keys()
    for key, value in uninterrupted["state_dict"].items():
        assert torch.equal(ours["state_dict"][key], value), key
    best, other = load_weights(out).net.state_dict(), load_weights(finished).net.state_dict()
    assert all(torch.equal(best[key], other[key]) for key in other)
    assert not list(out.glob("*.part"))


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    before = rows_of(finished)
    assert len(train_from(finished, resume=True, progress=False).rows) == 3
    assert rows_of(finished) == before


def test_what_may_not_change_on_resume(finished: Path, config: TrainConfig) -> None:
    with pytest.raises(CmflError, match=r"lr 0\.001 -> 0\.5"):
        train(replace(config, lr=0.5), finished, resume=True, progress=False)
    with pytest.raises(CmflError, match="already holds a run"):
        train(config, finished, progress=False)
    with pytest.raises(CmflError, match="no run to resume"):
        train_from(finished / "nothing", resume=True)


@pytest.mark.parametrize("loss", ["cmfl", "bce"])
def test_two_processes(loss: str, tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    """DDP over gloo; the dev figures are those of the whole dev split, whoever computed which part."""
    protocol, root = tiny_data
    out = tmp_path / "run"
    options = f"--protocol {protocol} --data-root {root} -o {out} --loss {loss} --devices 2 --epochs 1"
    process = subprocess.run(
        [*CMFL, "train", *options.split(), "--batch-size", "3", "--precision", "fp32", "--workers", "0"],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.count(b"best epoch") == 1
    (row,) = rows_of(out)
    weights = load_weights(out)
    samples = read_split(protocol / "dev.csv")
    images = torch.stack([torch.from_numpy(decode(root / sample.filename)) for sample in samples])
    targets = torch.tensor([float(sample.is_real) for sample in samples])
    with torch.no_grad():
        logits: Logits = weights.net(images)
        expected = make_loss(TrainConfig(**weights.config))(logits, targets).item()
    assert float(row["dev_loss"]) == pytest.approx(expected, abs=1e-4)


def test_one_stream_early_stop(
    tiny_data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate that wrecks the real network its first epoch stays the best, and the run ends early."""
    monkeypatch.setattr(model, "make_trunk", REAL_TRUNK)
    config = tiny_config(
        tiny_data, architecture="one_stream", spectra="rgb", loss="bce", lr=0.3, epochs=10, early_stop=1
    )
    run = train(config, tmp_path / "run", progress=False)
    assert len(run.rows) < 10
    assert load_weights(run.folder).net.spectra == "rgb"
    assert "dev_d_eer_rgb" not in run.figures


def test_missing_and_damaged_files_are_named_before_the_first_step(
    tiny_data: tuple[Path, Path], small_trunk: None, tmp_path: Path
) -> None:
    protocol, root = tiny_data
    copy = tmp_path / "data"
    copy.mkdir()
    for path in root.glob("*.png"):
        data = path.read_bytes()
        (copy / path.name).write_bytes(data[: len(data) // 2] if path.name == "train-real-1.png" else data)
    (copy / "train-real-0.png").unlink()
    config = tiny_config((protocol, copy), epochs=1, architecture="one_stream", spectra="rgb", loss="bce")
    with pytest.raises(CmflError) as caught:
        train(config, tmp_path / "run", progress=False)
    text = str(caught.value)
    assert "2 of 12" in text
    assert "train-real-0.png" in text
    assert "train-real-1.png" in text
    assert "--skip-missing" in text
    assert "\n" not in text
    assert not (tmp_path / "run").exists()
    run = train(config, tmp_path / "run", skip_missing=True, progress=False)
    assert len(run.rows) == 1


def test_no_protocol_given() -> None:
    with pytest.raises(CmflError, match="--protocol"):
        train_from(Path("run"))


@pytest.mark.parametrize(
    ("precision", "accelerator", "name"),
    [("fp32", "cpu", "32-true"), ("bf16", "cpu", "bf16-mixed"), ("fp16", "cuda", "16-mixed")],
)
def test_precision_names(precision: Any, accelerator: str, name: str) -> None:
    assert choose_precision(precision, accelerator) == name


def test_automatic_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.cpu_has_bf16", lambda: True)
    assert choose_precision("auto", "cpu") == "bf16-mixed"
    monkeypatch.setattr("training.fit.cpu_has_bf16", lambda: False)
    assert choose_precision("auto", "cpu") == "32-true"
    with pytest.raises(CmflError, match="needs a GPU"):
        choose_precision("fp16", "cpu")


def test_a_run_on_crops_is_where_another_may_start(
    tiny_data: tuple[Path, Path], small_trunk: None, tmp_path: Path
) -> None:
    rgb = {"architecture": "one_stream", "spectra": "rgb", "loss": "bce", "epochs": 1}
    first = train(tiny_config(tiny_data, crop=64, **rgb), tmp_path / "crops", progress=False)
    # A rate too small to move anything: what comes out is what went in.
    config = tiny_config(tiny_data, init=str(tmp_path / "crops"), epochs=1, lr=1e-12, weight_decay=0.0)
    second = train(config, tmp_path / "both", progress=False)
    branch, both = load_weights(first.best).net, load_weights(second.best).net
    torch.testing.assert_close(both.head_rgb.weight, branch.head_joint.weight, rtol=0, atol=1e-6)
    weights = zip(both.trunk_rgb.parameters(), branch.trunk_rgb.parameters(), strict=True)
    assert all(torch.allclose(new, old, atol=1e-6) for new, old in weights)
