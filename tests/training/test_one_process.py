"""Export, prediction, measurement and training in one process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training import whole_process

LONGEST = 900.0  # without an answer a loader process hangs


def test_everything_in_one_process(tmp_path: Path) -> None:
    """Loader processes are no copies of one that ran models, and a crash after a training leaves a trace."""
    command = [sys.executable, str(whole_process.__file__), str(tmp_path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("done\n")


LOADING = """
import sys, time
from training.config import TrainConfig
from protocols import read_split
from training.dataset import ProtocolData

if __name__ == "__main__":
    config = TrainConfig(protocol=sys.argv[1], data_root=sys.argv[2], batch_size=4, workers=2)
    samples = read_split(f"{config.protocol}/train.csv")
    batches = iter(ProtocolData(config, samples, []).train_dataloader())
    next(batches)
    print(*(worker.pid for worker in batches._workers), flush=True)
    time.sleep(900)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked for in /proc")
def test_loader_processes_end_with_one_that_is_killed(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    script = tmp_path / "loading.py"
    script.write_text(LOADING)
    with subprocess.Popen([sys.executable, script, *tiny_data], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        loaders = [Path("/proc", pid) for pid in process.stdout.readline().split()]
        assert len(loaders) == 2
        assert all(loader.exists() for loader in loaders)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 120
    while any(loader.exists() for loader in loaders):
        assert time.monotonic() < deadline
        time.sleep(0.05)
