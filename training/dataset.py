"""Protocol rows to uint8 batches; order and augmentation depend on nothing but the seed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import NamedTuple

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cmfl_export.base.errors import need
from cmfl_export.images import SIZE, DataRoot, fit, open_rgb
from protocols import Sample

from .augment import augment, resend
from .config import TrainConfig
from .photographs import Open, opener

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Item = tuple[Tensor, float, int]  # uint8 [H, W, 3], target, position in the split


class Draw(NamedTuple):
    """One visit of a sample: what its random numbers derive from."""

    epoch: int
    position: int  # in the split


class Batch(NamedTuple):
    images: Tensor  # uint8 [B, H, W, 3]; 224x224, or squares of the training crop
    targets: Tensor  # float32 [B], 1 = real, 0 = synthetic
    positions: Tensor  # int64 [B], in the split


class ProtocolDataset(Dataset[Item]):
    """The images of a split.

    The random numbers of a sample come from (seed, epoch, position) alone: neither the number of loader
    processes nor an interruption changes them.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        data_root: DataRoot,
        *,
        aligned: bool,
        augment: float,
        seed: int,
        train: bool,
        crop: int = SIZE,
        broad: bool = False,
        resending: float = 0.0,
        change: Change | None = None,
        open: Open = open_rgb,
    ) -> None:
        """Takes what the images become.

        Args:
            samples, data_root: the split, and where its images are.
            aligned, augment, train, crop, broad, resending: see `augment.augment`; `augment` is its
                probability.
            seed: of the random numbers.
            change: what an image that is not augmented goes through instead.
            open: reads an image.
        """
        self.samples = samples
        self.data_root = data_root
        self.aligned = aligned
        self.augment = augment
        self.seed = seed
        self.train = train
        self.crop = crop
        self.broad = broad
        self.resending = resending
        self.change = change
        self.open = open

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> Item:
        sample = self.samples[draw.position]
        return torch.from_numpy(self._pixels(sample, draw)), float(sample.is_real), draw.position

    def _pixels(self, sample: Sample, draw: Draw) -> np.ndarray:
        image = self.open(self.data_root.path(sample.filename))
        rng = np.random.default_rng([self.seed, draw.epoch, draw.position, int(self.train)])
        if not self.train and self.augment == 0 and self.resending == 0:
            image = fit(image, aligned=self.aligned)
            return np.array(image if self.change is None else self.change(image, rng))
        return augment(
            image,
            rng,
            aligned=self.aligned,
            probability=self.augment,
            crop=self.crop,
            broad=self.broad,
            resending=self.resending,
            train=self.train,
        )


class EpochSampler(Sampler[Draw]):
    """Each sample once an epoch, for one process of `world`.

    Training order is a permutation from (seed, epoch); the processes get equally many samples (DDP waits for
    all), so up to world - 1 are left out of an epoch. Without shuffling nothing is left out.
    """

    def __init__(self, n: int, *, seed: int, shuffle: bool, rank: int = 0, world: int = 1) -> None:
        self.n = n
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n)
            order = order[: self.n - self.n % self.world]
        else:
            order = np.arange(self.n)
        for position in order[self.rank :: self.world]:
            yield Draw(self.epoch, int(position))

    def __len__(self) -> int:
        if self.shuffle:
            return self.n // self.world
        return len(range(self.rank, self.n, self.world))


def collate(items: list[Item]) -> Batch:
    images, targets, positions = zip(*items, strict=True)
    return Batch(torch.stack(images), torch.tensor(targets, dtype=torch.float32), torch.tensor(positions))


def clean_start() -> BaseContext:
    """How loader processes are started: from a process that has run nothing, not as copies of this one.

    A copy has the locks of ONNX Runtime, OpenVINO and OpenMP but none of their threads: it hangs for ever
    when, for instance, it drops a session. As with every such start, a script that trains does so below
    `if __name__ == "__main__"`.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Imported once, not by each process. No effect where the program has a fork server already.
    context.set_forkserver_preload([__name__, "scipy.ndimage"])
    return context


def end_with_parent(_worker: int) -> None:
    """In a loader process: ends it when the process that trains has ended, however that was.

    PyTorch looks whether a loader process has another parent; that of all these is the fork server, which
    stays for as long as one of them does.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class ProtocolData(L.LightningDataModule):
    """The train and dev loaders of a run.

    Raises:
        PackageError: SciPy, which the augmentation needs, is missing.
    """

    def __init__(self, config: TrainConfig, train: Sequence[Sample], dev: Sequence[Sample]) -> None:
        super().__init__()
        if config.augment and find_spec("scipy") is None:
            raise need("train", "augmentation (scipy)")
        self.config = config
        self.samples = {"train": train, "dev": dev}
        self.epochs_done = 0  # before this process

    def state_dict(self) -> dict[str, int]:
        # Called when an epoch has ended, before the trainer counts it.
        return {"epochs_done": self.trainer.current_epoch + 1 if self.trainer else 0}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.epochs_done = state_dict["epochs_done"]

    def train_dataloader(self) -> DataLoader[Item]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Item]:
        return self._loader("dev")

    def _loader(self, split: str) -> DataLoader[Item]:
        config, training = self.config, split == "train"
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        dataset = ProtocolDataset(
            self.samples[split],
            _root(config, self.samples[split]),
            aligned=config.aligned,
            augment=config.augment if training or config.augment_dev else 0.0,
            seed=config.seed,
            train=training,
            crop=config.crop,
            broad=config.augmentation == "broad",
            resending=config.resend if training or config.augment_dev else 0.0,
            open=opener(config),
        )
        sampler = EpochSampler(len(dataset), seed=config.seed, shuffle=training, rank=rank, world=world)
        # Lightning announces each epoch to the sampler, but on resuming only after the loader processes have
        # begun to draw.
        sampler.set_epoch(self.epochs_done)
        return _in_batches(dataset, sampler, config)


def not_augmented(config: TrainConfig, samples: Sequence[Sample], resending: int = 0) -> DataLoader[Item]:
    """Batches of the samples in order, each image once and as `predict` sees it: not augmented.

    Args:
        config: says how images are read.
        samples: whose images.
        resending: 0 leaves the images as they are; each other number gives others, sent once more
            (`augment.resend`).
    """
    dataset = ProtocolDataset(
        samples,
        _root(config, samples),
        aligned=config.aligned,
        augment=0.0,
        seed=config.seed,
        train=False,
        change=resend if resending else None,
        open=opener(config),
    )
    sampler = EpochSampler(len(samples), seed=config.seed, shuffle=False)
    sampler.set_epoch(resending)
    return _in_batches(dataset, sampler, config)


def _root(config: TrainConfig, samples: Sequence[Sample]) -> DataRoot:
    """The data root with the places of these samples, which goes to each loader process."""
    return DataRoot.of(config.data_root).only(sample.filename for sample in samples)


def _in_batches(dataset: ProtocolDataset, sampler: EpochSampler, config: TrainConfig) -> DataLoader[Item]:
    return DataLoader(
        dataset,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=config.workers > 0,
        multiprocessing_context=clean_start() if config.workers else None,
        worker_init_fn=end_with_parent,
    )
