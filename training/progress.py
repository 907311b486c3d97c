"""Where a run stands, in lines: the rate and the time left, for a log that is no terminal."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning as L

EVERY = 60.0  # seconds between two lines inside an epoch
# An image of dev goes through the network once, one of train also back, which takes twice as long.
_DEV_SHARE = 1 / 3

log = logging.getLogger("cmfl.train")


class Clock:
    """Estimates how long a run still takes from how long its images have taken.

    Args:
        epochs: of the whole run.
        n_train, n_dev: images of an epoch.
    """

    def __init__(self, epochs: int, n_train: int, n_dev: int) -> None:
        self.epochs = epochs
        self.n_train = n_train
        self._of_epoch = n_train + _DEV_SHARE * n_dev
        self._began: tuple[float, int] | None = None

    def start(self, epoch: int) -> None:
        """To be called when an epoch begins; the first one of this process counts."""
        if self._began is None:
            self._began = time.monotonic(), epoch

    def left(self, epoch: int, images: float = 0.0) -> str:
        """The time left, in words, when `images` of an epoch (from 0) have been trained on."""
        assert self._began is not None
        since, first = self._began
        done = (epoch - first) * self._of_epoch + images
        remaining = (self.epochs - epoch) * self._of_epoch - images
        return f"{duration((time.monotonic() - since) * remaining / done)} left"


class StepLines(L.Callback):
    """Says every minute how far an epoch is, how fast, and how long the run still takes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.began = self.said = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began = self.said = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step, steps = time.monotonic(), batch_idx + 1, int(trainer.num_training_batches)
        # The line of the epoch follows its last step.
        if now - self.said < EVERY or step == steps or not trainer.is_global_zero:
            return
        self.said = now
        images = self.clock.n_train * step / steps
        log.info(
            "epoch %d/%d, step %d/%d, %.1f images/s, %s",
            trainer.current_epoch + 1,
            self.clock.epochs,
            step,
            steps,
            images / max(now - self.began, 1e-9),
            self.clock.left(trainer.current_epoch, images),
        )


def duration(seconds: float) -> str:
    """A time in words: its largest unit and the next one."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
