"""RunFiles: what a run leaves behind each epoch, every file written whole or not at all."""

from __future__ import annotations

import csv
import io
import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from cmfl_export.base.files import whole_file, write_whole, writing

from .config import TrainConfig
from .model import CmflNet
from .module import CmflModule
from .progress import Clock
from .teacher import Teacher
from .weights import save_weights

log = logging.getLogger("cmfl.train")

BEST, LAST, METRICS, CONFIG = "best.safetensors", "last.ckpt", "metrics.csv", "config.toml"
REFITTED = "refitted.safetensors"

METRIC_COLUMNS = (
    "epoch",
    "train_loss",
    "dev_loss",
    "dev_d_eer",
    "dev_d_eer_rgb",
    "dev_d_eer_spectrum",
    "lr",
    "seconds",
    "images_per_second",
)
# Those of a run that leaves attacks out, besides.
LEFT_OUT_COLUMNS = ("loo_d_eer", "loo_d_eer_rgb", "loo_d_eer_spectrum")


class AverageWeights(WeightAveraging):
    """Keeps a running average of the weights, which takes their place while dev is evaluated.

    The average of what never changes, as the waves of the spectrum and what it is standardised by, is exactly
    that. Lightning's own running average rounds it anew in every step.

    Args:
        decay: of the average, per step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=self._moved)
        self.decay = decay

    def _moved(self, average: Tensor, current: Tensor, _steps: Tensor | int) -> Tensor:
        """The average after a step; the counters of steps, whole numbers, are those of the step."""
        return torch.lerp(average, current, 1.0 - self.decay) if average.is_floating_point() else current

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None

    @property
    def net(self) -> CmflNet | Teacher:
        """The network with the average weights."""
        assert self._average_model is not None
        module = self._average_model.module
        assert isinstance(module, CmflModule)
        return module.net


class RunFiles(L.Callback):
    """After each epoch: a row of `metrics.csv`, `best.safetensors` if it is the best yet, `last.ckpt`.

    With a clock, the line that is logged also says how long the run still takes.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        n_train: int,
        average: AverageWeights | None,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.columns = METRIC_COLUMNS + LEFT_OUT_COLUMNS * bool(config.attacks_left_out)
        self.n_train = n_train
        self.average = average
        self.clock = clock
        self.best: dict[str, float] = {}
        self.rows: list[dict[str, float]] = []
        self.started = 0.0
        self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.rows = state_dict["best"], state_dict["rows"]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = time.monotonic()
        if self.clock:
            self.clock.start(trainer.current_epoch)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Dev is evaluated inside the training epoch; the training rate leaves it out.
        self.seconds = time.monotonic() - self.started

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, CmflModule)
        figures = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {
            "epoch": float(trainer.current_epoch),
            **{k: figures[k] for k in self.columns if k in figures},
        }
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = round(self.seconds, 3)
        row["images_per_second"] = round(self.n_train / self.seconds, 2)
        self.rows.append(row)
        monitor = self.config.best_by
        better = row.get(monitor, float("inf")) < self.best.get(monitor, float("inf"))
        if better:
            self.best = row
        if trainer.is_global_zero:
            net = self.average.net if self.average else pl_module.net
            if better:
                save_weights(net, self.folder / BEST, self.config, metrics=row)
            every = self.config.save_every
            if every and (trainer.current_epoch + 1) % every == 0:
                name = f"epoch_{trainer.current_epoch + 1:03d}.safetensors"
                save_weights(net, self.folder / name, self.config, metrics=row)
        # The checkpoint comes last, so that a run killed in between repeats the epoch and its files. It holds
        # the rows of the metrics, which are therefore written from it: none is lost and none comes twice.
        self._save_checkpoint(trainer)
        if trainer.is_global_zero:
            self._write_metrics()
            log.info("%s", self._epoch_line(row))

    def _save_checkpoint(self, trainer: L.Trainer) -> None:
        target = self.folder / LAST
        if not trainer.is_global_zero:
            # Takes part in putting it together; the first process writes it.
            trainer.save_checkpoint(target)
            return
        with whole_file(target) as part, writing(target):
            trainer.save_checkpoint(part)

    def _epoch_line(self, row: dict[str, float]) -> str:
        epoch = int(row["epoch"]) + 1
        left = f", {self.clock.left(epoch)}" if self.clock and epoch < self.config.epochs else ""
        d_eer = "".join(
            f", {what} D-EER {100 * row[name]:.1f} %"
            for what, name in (("dev", "dev_d_eer"), ("left out", "loo_d_eer"))
            if name in row
        )
        return (
            f"epoch {epoch}/{self.config.epochs}: train loss {row['train_loss']:.4f}, "
            f"dev loss {row['dev_loss']:.4f}{d_eer}, {row['images_per_second']:.1f} images/s{left}"
        )

    def _write_metrics(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in self.rows)
        write_whole(self.folder / METRICS, text.getvalue().encode())
