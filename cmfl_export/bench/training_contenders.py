"""Training as contenders: optimizer steps with and without the loader, and the loader alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from protocols import Sample, read_split, write_split
from training.config import TrainConfig
from training.dataset import Batch, EpochSampler, ProtocolData
from training.fit import cpu_has_bf16
from training.module import CmflModule

from ..base.errors import UsageError
from .contenders import PLAIN, Contender
from .engine import Unit
from .pictures import pictures
from .torch_contenders import autocast, use_threads


class Step:
    """Optimizer steps as in `cmfl train`, from random weights.

    Measures: "step", on one batch that is already on the device; "fed", on batches from the loader.

    Args:
        config: values of `TrainConfig`, with the protocol and the data root.
        precision: fp32 or bf16.
        device: "cpu" or "cuda".
        threads: CPU threads; None leaves the choice to PyTorch.
        plain: whether to leave out what `cmfl train` does for speed: channels that lie together in memory,
            and the update of all weights in one kernel.
    """

    def __init__(
        self,
        config: dict[str, Any],
        precision: str,
        device: str,
        threads: int | None,
        plain: bool = False,
        **_: object,
    ) -> None:
        use_threads(threads)
        self._config = TrainConfig.from_dict(config)
        self._precision = precision
        self._device = device
        module = CmflModule(self._config).to(device).train()
        self._net, self._loss = module.net, module.loss
        if plain:
            self._net.to(memory_format=torch.contiguous_format)
        self._optimizer = torch.optim.Adam(self._net.parameters(), self._config.lr, fused=not plain)

    def about(self) -> dict[str, Any]:
        """Returns the threads, and `operations`: those per image, forward."""
        image = torch.zeros(1, self._config.crop, self._config.crop, 3, dtype=torch.uint8)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            self._net.eval()(image.to(self._device))
        self._net.train()
        return {"threads": torch.get_num_threads(), "operations": float(counter.get_total_flops())}

    def unit(self, measure: str, seconds: float) -> Unit:
        batches = endless(self._config)
        if measure == "fed":
            return lambda: self._step(next(batches))
        batch = next(batches)
        held = Batch(batch.images.to(self._device), batch.targets.to(self._device), batch.positions)
        return lambda: self._step(held)

    def _step(self, batch: Batch) -> float:
        images = batch.images.to(self._device, non_blocking=True)
        targets = batch.targets.to(self._device, non_blocking=True)
        with autocast(self._device, self._precision):
            logits = self._net(images)
        loss = self._loss(logits, targets)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        if self._device == "cuda":
            torch.cuda.synchronize()
        return len(images)


class Loader:
    """The loader of `cmfl train` alone: decoding and augmentation; arguments as for `Step`."""

    def __init__(self, config: dict[str, Any], threads: int | None, **_: object) -> None:
        use_threads(threads)
        self._batches = endless(TrainConfig.from_dict(config))

    def about(self) -> dict[str, Any]:
        return {}

    def unit(self, measure: str, seconds: float) -> Unit:
        return lambda: len(next(self._batches).images)


@contextmanager
def protocol_of(config: TrainConfig) -> Iterator[tuple[TrainConfig, str]]:
    """Gives the configuration with data to measure on, and the description of the data.

    Without a protocol images are drawn for the time of the block, half of them labelled synthetic.

    Raises:
        ProtocolError: the protocol cannot be used.
        UsageError: the data root is missing.
    """
    if config.protocol:
        if not config.data_root:
            raise UsageError("no data root given; use --data-root")
        samples = read_split(Path(config.protocol) / "train.csv")
        yield config, f"{len(samples)} images of {config.protocol}"
        return
    with pictures(None) as (paths, words), TemporaryDirectory(prefix="cmfl-bench-") as folder:
        drawn = [
            Sample(str(number), Path(path).name, "drawn" if number % 2 else "")
            for number, path in enumerate(paths)
        ]
        write_split(drawn, Path(folder) / "train.csv")
        yield replace(config, protocol=folder, data_root=str(Path(paths[0]).parent)), words


def of_training(config: TrainConfig) -> tuple[list[Contender], str]:
    """Returns steps in each precision that is fast here, plain eager ones, the loader, and the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    has_bf16 = cpu_has_bf16() if device == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    given = {"config": asdict(config), "device": device}
    on_gpu = device == "cuda"
    steps = [
        Contender(
            f"training {precision}",
            "training",
            precision,
            ("step", "fed"),
            given | {"precision": precision},
            on_gpu,
        )
        for precision in ("fp32", *(["bf16"] if has_bf16 else []))
    ]
    plain = given | {"precision": "fp32", "plain": True}
    steps.append(Contender(PLAIN, "training", "fp32", ("step",), plain, on_gpu))
    loader = Contender("loader alone", "loader", "uint8", ("loader",), {"config": asdict(config)})
    return [*steps, loader], device


def endless(config: TrainConfig) -> Iterator[Batch]:
    """Yields the batches of the train split, epoch after epoch, without end."""
    loader = ProtocolData(config, read_split(Path(config.protocol) / "train.csv"), []).train_dataloader()
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)
    while True:
        yield from loader
        sampler.set_epoch(sampler.epoch + 1)
