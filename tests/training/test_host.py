"""A training leaves the process as it was."""

from __future__ import annotations

import logging
import multiprocessing.forkserver
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmfl_export.base.errors import CmflError
from training.config import TrainConfig
from training.fit import train
from training.host import host_as_before

# These have no types, or are private.
MULTIPROCESSING: Any = torch.multiprocessing
FORKSERVER: Any = multiprocessing.forkserver._forkserver
DISTRIBUTED: Any = torch.distributed


def state(before: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is global; of the loggers those that there were before."""
    loggers = before["levels"] if before else logging.root.manager.loggerDict
    return {
        "filters": list(warnings.filters),
        "levels": {name: logging.getLogger(name).level for name in loggers},
        "handlers": {name: list(logging.getLogger(name).handlers) for name in ("", "lightning.pytorch")},
        "disabled": logging.root.manager.disable,
        "environment": dict(os.environ),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "mkldnn": torch.backends.mkldnn.enabled,
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "sharing": MULTIPROCESSING.get_sharing_strategy(),
        "preloaded": list(FORKSERVER._preload_modules),
        "group": torch.distributed.is_initialized(),
        "random": random.getstate(),
        "numpy": np.random.get_state(legacy=False)["state"]["key"].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "excepthook": sys.excepthook,
    }


def tiny_config(tiny_data: tuple[Path, Path], **values: Any) -> TrainConfig:
    protocol, root = tiny_data
    return TrainConfig(protocol=str(protocol), data_root=str(root), epochs=1, batch_size=4, **values)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_leaves_the_process_as_it_was(
    workers: int, tiny_data: tuple[Path, Path], small_trunk: None, tmp_path: Path
) -> None:
    config = tiny_config(tiny_data, workers=workers)
    before = state()
    train(config, tmp_path / "run", progress=False)
    assert state(before) == before


def test_a_run_that_fails_does_so_too(
    tiny_data: tuple[Path, Path], small_trunk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CmflError("no more")

    monkeypatch.setattr("training.module.CmflModule.validation_step", fail)
    before = state()
    with pytest.raises(CmflError, match="no more"):
        train(tiny_config(tiny_data, workers=0), tmp_path / "run", progress=False)
    assert state(before) == before


def test_an_interrupt_is_one_for_who_calls(
    tiny_data: tuple[Path, Path], small_trunk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.module.CmflModule.validation_step", interrupt)
    before = state()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(tiny_data, workers=0), tmp_path / "run", progress=False)
    assert state(before) == before


def test_whatever_is_set_inside_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMFL_TEST_KEPT", "1")
    monkeypatch.setenv("CMFL_TEST_REMOVED", "1")
    before = state()
    with host_as_before():
        warnings.simplefilter("error")
        logging.getLogger("lightning.pytorch").setLevel(logging.DEBUG)
        os.environ["CMFL_TEST_KEPT"] = "2"
        os.environ["CMFL_TEST_NEW"] = "1"
        del os.environ["CMFL_TEST_REMOVED"]
        torch.set_num_threads(before["threads"] + 1)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        random.random()
        np.random.random()
        torch.rand(1)
        multiprocessing.set_forkserver_preload(["json"])
        multiprocessing.set_start_method("spawn", force=True)
        torch.distributed.init_process_group("gloo", store=DISTRIBUTED.HashStore(), rank=0, world_size=1)
        changed = {name for name, value in state(before).items() if value != before[name]}
        assert changed == {
            *("filters", "levels", "environment", "threads", "precision", "deterministic", "cudnn"),
            *("start method", "preloaded", "group", "random", "numpy", "torch"),
            "excepthook",
        }
    assert state(before) == before


def test_importing_sets_nothing() -> None:
    """Beyond what the libraries and the deploy side set."""
    code = """
import logging, os, signal, warnings
import lightning, lightning.pytorch.loggers, torch, torchvision, scipy.ndimage, safetensors.torch
import cmfl_export.faces

def state():
    return (
        list(warnings.filters), dict(os.environ), torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        {name: logging.getLogger(name).level for name in before_names},
        {number: signal.getsignal(number) for number in signal.valid_signals()},
    )

before_names = list(logging.root.manager.loggerDict)
before = state()
import training.fit, training.deploy, training.simulate, training.demo_data
import cmfl_export.bench.training_contenders, cmfl_export.bench.torch_contenders
assert state() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)
