"""The LightningModule: one step, one dev evaluation, one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from cmfl_export.metrics import d_eer

from .band_gain import BandGain
from .config import TrainConfig
from .dataset import Batch
from .lesson import make_lesson
from .loss import CrossModalFocalLoss, DetectionLoss
from .model import CmflNet, Logits
from .stem import start_with_cosines
from .teacher import Teacher, asker, make_teacher
from .weights import start_from


class CmflModule(L.LightningModule):
    """Trains a CmflNet by a TrainConfig.

    Each epoch logs `train_loss` and, over the whole dev split, `dev_loss`, `dev_d_eer` and, with two
    branches, `dev_d_eer_rgb` and `dev_d_eer_spectrum`. Where attacks are left out of train, it also logs
    `loo_d_eer` and so on: those attacks against the photographs of dev.

    Args:
        config: the configuration.
        n_dev: images of the dev split, which are the first ones to be validated; those after them are left
            out of train. None means that all are of dev.
    """

    def __init__(self, config: TrainConfig, n_dev: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.n_dev = n_dev
        # Twice the speed of the default layout for bf16 convolutions, on CPU and GPU.
        self.net = make_network(config).to(memory_format=torch.channels_last)
        self.loss = make_loss(config)
        self.lesson = make_lesson(asker(Path(config.teacher)), config.crop) if config.teacher else None
        self.band_gain = BandGain(config.band_gain, config.seed) if config.band_gain else None
        self.dev_results: list[Tensor] = []

    def training_step(self, batch: Batch, _batch_index: int) -> Tensor:
        loss = self._loss_by_teacher(batch) if self.lesson else self._loss_by_labels(batch)
        self.log(
            "train_loss",
            loss,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(batch.images),
            sync_dist=True,
        )
        return loss

    def _loss_by_labels(self, batch: Batch) -> Tensor:
        return self._training_loss(self.net(batch.images, self._change(batch)), batch.targets)

    def _loss_by_teacher(self, batch: Batch) -> Tensor:
        assert self.lesson is not None
        assert isinstance(self.net, CmflNet)
        branches = self.net.branches(batch.images, self._change(batch))
        logits = self.net.heads(branches)
        loss = self._training_loss(logits, batch.targets)
        taught: Tensor = self.lesson(batch.images, branches[0].maps, logits, loss)
        return taught

    def _change(self, batch: Batch) -> Callable[[Tensor], Tensor] | None:
        """The augmentation of the batch's spectra, if there is one."""
        if self.band_gain is None:
            return None
        gains = self.band_gain.draw(self.current_epoch, batch.positions)
        return partial(self.band_gain, gains=gains)

    def _training_loss(self, logits: Logits, targets: Tensor) -> Tensor:
        """The loss; with label smoothing, its mean over the classes that a label then stands for."""
        loss: Tensor = self.loss(logits, targets)
        wrong = self.config.label_smoothing / 2
        if not wrong:
            return loss
        other: Tensor = self.loss(logits, 1.0 - targets)
        return (1.0 - wrong) * loss + wrong * other

    def validation_step(self, batch: Batch, _batch_index: int) -> None:
        logits = self.net(batch.images)
        heads = [head.float() for head in logits if head is not None]
        # One row an image: position in the split, target, then the logits.
        self.dev_results.append(torch.stack([batch.positions.float(), batch.targets, *heads], dim=1).cpu())

    def on_validation_epoch_end(self) -> None:
        results = self._gather(torch.cat(self.dev_results))
        self.dev_results.clear()
        # In the order of the split, so that the figures do not depend on how many processes made them.
        results = results[results[:, 0].argsort()]
        dev, left_out = results[: self.n_dev], results[len(results) if self.n_dev is None else self.n_dev :]
        logits = Logits(*dev[:, 2:].unbind(dim=1))
        self.log("dev_loss", self.loss(logits, dev[:, 1]), prog_bar=True, rank_zero_only=False)
        self._log_d_eer("dev_d_eer", dev)
        if len(left_out):
            self._log_d_eer("loo_d_eer", torch.cat([dev[dev[:, 1] == 1], left_out]))

    def _log_d_eer(self, name: str, results: Tensor) -> None:
        """Logs the D-EER of the joint head under `name`, and those of the branches with a suffix."""
        targets, logits = results[:, 1], Logits(*results[:, 2:].unbind(dim=1))
        for suffix, head in zip(("", "_rgb", "_spectrum"), logits, strict=True):
            if head is not None and head.isfinite().all():
                rate = d_eer(head.sigmoid().numpy(), targets.numpy()).rate
                self.log(name + suffix, rate, prog_bar=not suffix)

    def _gather(self, results: Tensor) -> Tensor:
        if self.trainer.world_size == 1:
            return results
        gathered: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, results)
        return torch.cat(gathered)

    def configure_optimizers(self) -> Any:
        config = self.config
        make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
        # One kernel for the whole update saves a tenth of a small batch's time on a CPU; Lightning cannot
        # clip gradients with it.
        fused = not config.clip
        groups = self._parameter_groups()
        optimizer = make(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)
        if config.schedule == "constant":
            return optimizer
        if config.schedule == "cosine":
            scheduler: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        else:
            rates = [group["lr"] for group in optimizer.param_groups]
            scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, or those of the spectrum branch apart where they have a rate of their own."""
        others = list(self.lesson.parameters()) if self.lesson else []
        if not self.config.spectrum_lr:
            return [{"params": [*self.net.parameters(), *others]}]
        spectrum: list[torch.nn.Parameter] = []
        for name, parameter in self.net.named_parameters():
            of_spectrum = name.startswith(("trunk_spectrum.", "head_spectrum."))
            (spectrum if of_spectrum else others).append(parameter)
        return [{"params": others}, {"params": spectrum, "lr": self.config.spectrum_lr}]


def make_network(config: TrainConfig) -> CmflNet | Teacher:
    """The network that a configuration names, with the weights that it starts from."""
    if config.backbone:
        return make_teacher(config.backbone, config.backbone_weights, config.crop)
    net = CmflNet(
        config.architecture,
        config.spectra,
        pretrained=config.pretrained,
        standardise=config.standardise_spectrum,
    )
    if config.stem == "dct":
        start_with_cosines(net)
    start_from(net, config.init)
    return net


def make_loss(config: TrainConfig) -> DetectionLoss:
    """The loss that a configuration names."""
    if config.loss == "bce":
        return DetectionLoss()
    cmfl = CrossModalFocalLoss(
        config.alpha,
        config.gamma,
        config.multiplier,
        attack_only=config.attack_only,
        stop_gradient=config.stop_gradient,
    )
    return DetectionLoss(cmfl, config.beta)
