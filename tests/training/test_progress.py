"""The lines of a run: rate and time left, without a terminal."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import pytest

from training import progress
from training.config import TrainConfig
from training.fit import train
from training.progress import Clock, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (80, "1 min 20 s"), (7510, "2 h 5 min")],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_time_left_counts_dev_and_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Clock(epochs=4, n_train=90, n_dev=30)  # an epoch is as 100 images of train
    clock.start(1)  # resumed
    now += 10
    assert clock.left(1, 50) == "50 s left"  # the other half, and two epochs of 20 s
    clock.start(2)
    now += 10
    assert clock.left(2) == "40 s left"
    now += 30
    assert clock.left(3, 50) == "10 s left"


def lines(text: str) -> list[str]:
    return re.findall(r"^epoch .*", text, re.MULTILINE)


def test_a_run_says_where_it_stands(
    tiny_data: tuple[Path, Path],
    small_trunk: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cmfl")
    caplog.handler.setFormatter(logging.Formatter("%(message)s"))
    protocol, root = tiny_data
    config = TrainConfig(protocol=str(protocol), data_root=str(root), epochs=2, batch_size=4, workers=0)
    left = r"(\d+ min )?\d+ s left"
    epoch = r"train loss [\d.]+, dev loss [\d.]+, dev D-EER [\d.]+ %, [\d.]+ images/s"

    train(config, tmp_path / "fast", progress=False)
    expected = [rf"epoch 1/2: {epoch}, {left}", f"epoch 2/2: {epoch}"]
    found = lines(caplog.text)
    assert len(found) == 2
    assert all(map(re.fullmatch, expected, found))

    caplog.clear()
    monkeypatch.setattr(progress, "EVERY", 0.0)
    train(config, tmp_path / "slow", progress=False)
    steps = [[rf"epoch {e}/2, step {step}/3, [\d.]+ images/s, {left}" for step in (1, 2)] for e in (1, 2)]
    found = lines(caplog.text)
    assert len(found) == 6
    assert all(map(re.fullmatch, [*steps[0], expected[0], *steps[1], expected[1]], found))

    caplog.clear()
    train(config, tmp_path / "bar", progress=True)
    found = lines(caplog.text)
    assert len(found) == 2
    assert "left" not in caplog.text
