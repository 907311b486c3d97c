"""train(config) -> run folder."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch import Tensor

from cmfl_export.base.errors import UsageError
from cmfl_export.base.files import refuse_overwriting, write_whole
from cmfl_export.base.locks import exclusive_folder
from cmfl_export.base.progress import bar
from protocols import Sample, balance, leave_out, read_protocol

from . import normalisations
from .callbacks import BEST, CONFIG, LAST, METRICS, REFITTED, AverageWeights, RunFiles
from .config import Precision, Preset, TrainConfig, make_config
from .dataset import ProtocolData, not_augmented
from .host import host_as_before
from .model import CmflNet, to_unit
from .module import CmflModule
from .photographs import opener
from .progress import Clock, StepLines
from .refit import Refit, refit_head
from .spectrum import LogSpectrum
from .usable import usable
from .weights import load_weights, save_weights

# What may differ when a run goes on: it does not change the epochs that are done.
FREE_ON_RESUME = ("epochs", "early_stop", "refit_head", "workers")

# Each gives thousands of values per channel.
IMAGES_OF_NORMALISATIONS = 400

log = logging.getLogger("cmfl.train")


@dataclass(frozen=True)
class Run:
    """A finished training: the folder, its best weights, and the figures of their epoch."""

    folder: Path
    best: Path
    figures: dict[str, float]
    rows: list[dict[str, float]]  # one an epoch, as in metrics.csv
    first_process: bool = True  # of those that train together
    refit: Refit | None = None  # of the joint head, in `refitted.safetensors`

    def lines(self) -> list[str]:
        """The outcome as text; of several processes only the first one speaks."""
        if not self.first_process:
            return []
        figures = self.figures
        text = (
            f"best epoch {int(figures['epoch']) + 1} of {len(self.rows)}: dev loss {figures['dev_loss']:.4f}"
        )
        if "dev_d_eer" in figures:
            text += f", dev D-EER {100 * figures['dev_d_eer']:.1f} %"
        if "loo_d_eer" in figures:
            text += f", left out D-EER {100 * figures['loo_d_eer']:.1f} %"
        rate = max(row["images_per_second"] for row in self.rows)
        lines = [f"{text}; up to {rate:.1f} images/s", f"weights: {self.best}"]
        if self.refit:
            lines += [*self.refit.lines(), f"refitted weights: {self.folder / REFITTED}"]
        return lines


def train_from(
    out: Path,
    *,
    preset: Preset | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    skip_missing: bool = False,
    check_images: bool = True,
    progress: bool | None = None,
) -> Run:
    """`train` with a configuration put together as `cmfl train` does it.

    Args:
        preset, file, overrides: see `training.config.make_config`. With `resume`, and neither preset nor
            file, the base is the configuration of the run itself.
        out, resume, skip_missing, check_images, progress: see `train`.
    """
    if resume and preset is None and file is None:
        file = out / CONFIG
        if not file.exists():
            raise UsageError(f"{out} holds no run to resume; start one without --resume")
    elif file is not None and not resume:
        refuse_overwriting([out / CONFIG], [("the configuration given", file)])
    config = make_config(preset, file, **(overrides or {}))
    for name in ("protocol", "data_root"):
        if not getattr(config, name):
            raise UsageError(f"no {name.replace('_', ' ')} given; use --{name.replace('_', '-')}")
    return train(
        config, out, resume=resume, skip_missing=skip_missing, check_images=check_images, progress=progress
    )


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    skip_missing: bool = False,
    check_images: bool = True,
    progress: bool | None = None,
) -> Run:
    """Trains by `config` and writes a run folder (METHOD; files as in `training.callbacks`).

    Args:
        config: the whole configuration.
        out: run folder; made if missing. Must not hold a run, unless `resume`.
        resume: continue the run in `out` after its last whole epoch, as if never interrupted.
        skip_missing: train without the files that are missing or unreadable, saying how many.
        check_images: decode every image of train and dev before the first step, and with `align` look for its
            face; otherwise only look whether the files are there.
        progress: a progress bar on standard error; None shows it on a terminal. Each epoch is logged besides,
            and without a bar the steps between, every minute or so.

    The process is afterwards as it was (see `host_as_before`).

    Raises:
        CmflError: unusable protocol, data, configuration or run folder.
    """
    with host_as_before():
        return _train(config, out, resume, skip_missing, check_images, progress)


def _train(
    config: TrainConfig,
    out: Path,
    resume: bool,
    skip_missing: bool,
    check_images: bool,
    progress: bool | None,
) -> Run:
    """`train`, in a process that it may change."""
    protocol = read_protocol(config.protocol)
    open = opener(config) if check_images else None
    kept, unseen = leave_out(protocol.train, config.attacks_left_out)
    train_samples = usable(kept, config.data_root, "train", skip_missing, open)
    dev_samples = usable(protocol.dev, config.data_root, "dev", skip_missing, open)
    if unseen:
        unseen = usable(unseen, config.data_root, "train (left out)", skip_missing, open)
    every = train_samples
    if config.balance:
        train_samples = balance(train_samples, config.seed)
    L.seed_everything(config.seed, verbose=False)
    average = AverageWeights(decay=config.average) if config.average else None
    progress = sys.stderr.isatty() if progress is None else progress
    clock = None if progress else Clock(config.epochs, len(train_samples), len(dev_samples) + len(unseen))
    run_files = RunFiles(out, config, len(train_samples), average, clock)
    trainer = make_trainer(config, out, run_files, progress)
    # Of several processes that train together the first one writes.
    with exclusive_folder(out) if trainer.is_global_zero else nullcontext():
        checkpoint = (
            prepare_folder(config, out, resume) if trainer.is_global_zero else resume_point(out, resume)
        )
        module = CmflModule(config, len(dev_samples))
        if trainer.is_global_zero:
            log.info(
                "training %s on %d images, dev %d%s, %s, %d epochs",
                config.network,
                len(train_samples),
                len(dev_samples),
                f", left out {len(unseen)}" if unseen else "",
                trainer.precision,
                config.epochs,
            )
        if checkpoint is None and isinstance(module.net, CmflNet):
            device = trainer.strategy.root_device
            measure_spectra(module.net, config, train_samples, device, progress)
            measure_normalisations(module.net, config, train_samples, device)
        data = ProtocolData(config, train_samples, [*dev_samples, *unseen])
        try:
            trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Newer versions of Lightning make that of a KeyboardInterrupt.
            if not trainer.interrupted:
                raise
        refit = None
        if config.refit_head and run_files.best and trainer.is_global_zero and not trainer.interrupted:
            best = load_weights(out / BEST)
            refit = refit_head(best.net, config, every, dev_samples, progress=progress)
            save_weights(best.net, out / REFITTED, config, refit.metrics(best.metrics))
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not run_files.best:
        raise UsageError(
            f"no epoch of {out} had a finite {config.best_by}; lower --lr or use --precision fp32"
        )
    return Run(out, out / BEST, run_files.best, run_files.rows, trainer.is_global_zero, refit)


def measure_spectra(
    net: CmflNet, config: TrainConfig, samples: Sequence[Sample], device: torch.device, progress: bool
) -> None:
    """Measures what `net` standardises spectra by, unless it does not, or brought it from a file of `--init`.

    The images are not augmented, as a detector later sees them, so mean and deviation depend on nothing but
    the training split. Of several processes each measures for itself, with the same result.
    """
    if not net.standardises or net.standardise.is_measured:
        return
    log.info("measuring the spectra of %d training images", len(samples))
    spectrum = LogSpectrum().to(device)
    with bar(lambda: len(samples), shown=progress) as advance, torch.no_grad():

        def spectra() -> Iterator[Tensor]:
            for batch in not_augmented(config, samples):
                yield spectrum(to_unit(batch.images.to(device)))
                for _ in batch.positions:
                    advance(0)

        net.standardise.measure(spectra())


def measure_normalisations(
    net: CmflNet, config: TrainConfig, samples: Sequence[Sample], device: torch.device
) -> None:
    """Measures the normalisations that an exported file of `--init` lacks, on some training images."""
    if not normalisations.folded(net):
        return
    # Each class in its share: the samples come class by class.
    some = samples[:: max(1, len(samples) // IMAGES_OF_NORMALISATIONS)]
    log.info("measuring the normalisations of %s on %d training images", config.init, len(some))
    net.to(device)
    normalisations.measure(net, (batch.images.to(device) for batch in not_augmented(config, some)))


def prepare_folder(config: TrainConfig, out: Path, resume: bool) -> Path | None:
    """Makes or checks the run folder; the checkpoint to go on from, if any."""
    if resume:
        check_same(TrainConfig.from_toml(out / CONFIG), config, out)
    elif (out / LAST).exists():
        raise UsageError(f"{out} already holds a run; continue it with --resume or choose another folder")
    else:
        given = [Path(path.strip()) for path in config.init.split(",") if path.strip()]
        refuse_overwriting(
            [out / name for name in (BEST, CONFIG, METRICS)],
            (("a file to start from", path) for one in given for path in (one, one / BEST)),
        )
    write_whole(out / CONFIG, config.to_toml().encode())
    return resume_point(out, resume)


def resume_point(out: Path, resume: bool) -> Path | None:
    return out / LAST if resume and (out / LAST).exists() else None


def check_same(stored: TrainConfig, given: TrainConfig, out: Path) -> None:
    """A run goes on as it began, or it would not be one run."""
    changed = [
        f"{field.name} {getattr(stored, field.name)!r} -> {getattr(given, field.name)!r}"
        for field in fields(TrainConfig)
        if field.name not in FREE_ON_RESUME and getattr(stored, field.name) != getattr(given, field.name)
    ]
    if changed:
        raise UsageError(f"{out} was started with other values ({'; '.join(changed)}); resume without them")


class _Bar(RichProgressBar):
    """Lightning's bar without its version number."""

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class _Signals(_SignalConnector):
    """Lightning's handling of signals, which afterwards puts back those alone that it took.

    It would set every signal to what Python knows of it, which removes the handlers that native code has
    installed: after a training a crash of the interpreter left no trace, faulthandler on or not.
    """

    def teardown(self) -> None:
        self._original_handlers = {
            number: handler
            for number, handler in self._original_handlers.items()
            if signal.getsignal(number) != handler
        }
        super().teardown()


def make_trainer(config: TrainConfig, out: Path, run_files: RunFiles, progress: bool) -> L.Trainer:
    """A Lightning trainer that does as the configuration says and says little itself."""
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    callbacks: list[Callback] = [_Bar(leave=False, console_kwargs={"stderr": True})] if progress else []
    if run_files.clock:
        callbacks.append(StepLines(run_files.clock))
    if config.early_stop:
        callbacks.append(
            EarlyStopping(config.best_by, patience=config.early_stop, check_on_train_epoch_end=True)
        )
    if run_files.average:
        callbacks.append(run_files.average)
    callbacks.append(run_files)  # last: its checkpoint holds the others' state
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=choose_strategy(config),
        precision=choose_precision(config.precision, accelerator),
        max_epochs=config.epochs,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip or None,
        callbacks=callbacks,
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        enable_checkpointing=False,  # RunFiles writes them, whole
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # EpochSampler knows its rank
    )
    trainer._signal_connector = _Signals(trainer)
    return trainer


def choose_strategy(config: TrainConfig) -> Strategy | str:
    if config.devices * config.nodes == 1:
        return "auto"
    # With plain BCE the heads of the branches get no gradient, which DDP must be told.
    return DDPStrategy(find_unused_parameters=config.loss == "bce" and config.architecture == "two_stream")


def choose_precision(precision: Precision, accelerator: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Lightning's name for a precision; `auto` is the fastest that the device has units for.

    Raises:
        CmflError: fp16 on a CPU.
    """
    if precision == "auto":
        if accelerator == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        else:
            precision = "bf16" if cpu_has_bf16() else "fp32"
    if precision == "fp16" and accelerator == "cpu":
        raise UsageError("fp16 training needs a GPU; use --precision bf16 or fp32 on the CPU")
    names: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
        "fp32": "32-true",
        "bf16": "bf16-mixed",
        "fp16": "16-mixed",
    }
    return names[precision]


def cpu_has_bf16() -> bool:
    """Does the processor multiply bfloat16 itself (AVX-512 BF16, AMX)? Emulated it is slower than float32."""
    capabilities: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # newer than the oldest torch we take
    return any(
        capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "amx_tile", "arm_bf16", "bf16")
    )
