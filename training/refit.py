"""The joint head fitted anew: a logistic regression on the embeddings of a trained network."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmfl_export.base.errors import UsageError
from cmfl_export.base.files import check_ending, refuse_overwriting
from cmfl_export.base.locks import one_writer
from cmfl_export.base.progress import bar
from cmfl_export.metrics import d_eer
from protocols import Sample, leave_out, read_protocol

from .config import TrainConfig
from .dataset import unchanged
from .logistic import Linear, Matrix, Problem
from .model import CmflNet
from .photographs import opener
from .usable import usable
from .weights import load_weights, save_weights

CS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # rising

log = logging.getLogger("cmfl.train")


@dataclass(frozen=True)
class Refit:
    """How a head was fitted anew.

    Attributes:
        c: the C that was chosen, or given; see `training.logistic.Problem.fit`.
        rates: for each C the mean D-EER by which it was chosen; empty where C was given.
        attacks: those that were left out one at a time; empty where C was chosen by dev.
        before, after: D-EER of the joint head on dev.
        images: of train that it was fitted to.
    """

    c: float
    rates: Mapping[float, float]
    attacks: tuple[str, ...]
    before: float
    after: float
    images: int

    def lines(self) -> list[str]:
        """The outcome as text."""
        if not self.rates:
            return [
                f"joint head refitted to {self.images} images, C {self.c:g} as given",
                self._on_dev(),
            ]
        by = f"mean D-EER of {', '.join(self.attacks)}, each left out" if self.attacks else "D-EER on dev"
        return [
            f"joint head refitted to {self.images} images, C by the {by}:",
            *(
                f"  C {c:<6g} {100 * rate:5.1f} %{'  chosen' if c == self.c else ''}"
                for c, rate in self.rates.items()
            ),
            self._on_dev(),
        ]

    def _on_dev(self) -> str:
        return f"dev D-EER {100 * self.before:.1f} % before, {100 * self.after:.1f} % after"

    def metrics(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The figures for the weights file: those of the training that still hold, and these."""
        of_the_branches = {
            name: value for name, value in before.items() if name.endswith(("_rgb", "_spectrum", "epoch"))
        }
        return of_the_branches | {"dev_d_eer": self.after, "refit_c": self.c, "refit_images": self.images}


@one_writer("out")
def refit(
    weights: Path,
    out: Path,
    *,
    protocol: str,
    data_root: str,
    leave_out_attacks: str = "",
    c: float | None = None,
    workers: int = 2,
    skip_missing: bool = False,
    progress: bool | None = None,
) -> Refit:
    """Fits the joint head of trained weights anew and writes them, whole or not at all.

    Args:
        weights: a `.safetensors` file of ours, or a run folder (its best).
        out: the `.safetensors` file to write.
        protocol, data_root: the images, as for training.
        leave_out_attacks: attacks of train not to fit to, as `leave_out` of the configuration.
        c: the C to fit with; None chooses it.
        workers: loader processes.
        skip_missing: go on without the files that are missing or unreadable.
        progress: a bar on standard error; None shows it on a terminal.

    Raises:
        CmflError: unusable weights, protocol, data or output.
    """
    check_ending(out, (".safetensors",), "the weights")
    if c is not None and not 0 < c < math.inf:
        raise UsageError(f"C must be above 0, not {c}")
    loaded = load_weights(weights)
    refuse_overwriting([out], [("the weights file itself", loaded.path)])
    if not loaded.config:
        raise UsageError(f"{loaded.path} is an official checkpoint; refit takes weights of cmfl train")
    known = {field.name for field in fields(TrainConfig)}
    trained = TrainConfig(**{key: value for key, value in loaded.config.items() if key in known})
    config = replace(trained, protocol=protocol, data_root=data_root, workers=workers)
    splits = read_protocol(protocol)
    kept, _ = leave_out(splits.train, replace(config, leave_out=leave_out_attacks).attacks_left_out)
    train, dev = (
        usable(samples, data_root, split, skip_missing, opener(config))
        for split, samples in (("train", kept), ("dev", splits.dev))
    )
    found = refit_head(loaded.net, config, train, dev, c=c, progress=progress)
    figures = found.metrics(loaded.metrics) | {"refit_protocol": splits.name}
    save_weights(loaded.net, out, replace(trained, refit_head=True), figures)
    return found


def refit_head(
    net: CmflNet,
    config: TrainConfig,
    train: Sequence[Sample],
    dev: Sequence[Sample],
    *,
    c: float | None = None,
    progress: bool | None = None,
) -> Refit:
    """Replaces the joint head of `net` by the regression whose C carries over to attacks left out.

    For each C and each attack of train, a regression without that attack is judged by it and the photographs
    of dev. Of the C whose mean is within one standard error of the best one's, over the attacks, the smallest
    is taken: the strongest regularisation that is not clearly worse. With a single attack the D-EER on dev
    decides, and among equals the smallest C.

    Args:
        net: changed in place.
        config: says how images are read.
        train, dev: the samples.
        c: the C to fit with; None chooses it.
        progress: as for `refit`.
    """
    log.info("computing the embeddings of %d images", len(train) + len(dev))
    embeddings = _embeddings(net, config, [*train, *dev], progress)
    x, x_dev = embeddings[: len(train)], embeddings[len(train) :]
    head = Linear(net.head_joint.weight[0].detach().double().numpy(), net.head_joint.bias.item())
    before = _d_eer(head(x_dev), dev)
    attacks = sorted({sample.attack_type for sample in train if not sample.is_real})
    rates: dict[float, float] = {}
    if c is not None:
        attacks = []
    elif len(attacks) < 2:
        attacks = []
        problem = Problem(x, train)
        rates = {one: _d_eer(problem.fit(one)(x_dev), dev) for one in CS}
        c = min(rates, key=lambda one: rates[one])
    else:
        folds = [_rates_without(attack, x, train, x_dev, dev) for attack in attacks]
        rates = {one: float(np.mean([fold[one] for fold in folds])) for one in CS}
        c = _smallest_within_an_error(folds, rates)
    head = Problem(x, train).fit(c)
    with torch.no_grad():
        net.head_joint.weight.copy_(torch.from_numpy(head.weight)[None])
        net.head_joint.bias.fill_(head.bias)
    return Refit(c, rates, tuple(attacks), before, _d_eer(head(x_dev), dev), len(train))


def _smallest_within_an_error(folds: Sequence[Mapping[float, float]], rates: Mapping[float, float]) -> float:
    """The smallest C whose mean exceeds the best one by at most a standard error of their difference."""
    best = min(rates, key=lambda one: rates[one])
    for one in sorted(rates):
        differences = [fold[one] - fold[best] for fold in folds]
        if np.mean(differences) <= np.std(differences, ddof=1) / math.sqrt(len(differences)):
            return one
    return best


def _rates_without(
    attack: str, x: Matrix, train: Sequence[Sample], x_dev: Matrix, dev: Sequence[Sample]
) -> dict[float, float]:
    """The D-EER of an attack that is left out, against the photographs of dev, for each C."""
    out = np.array([sample.attack_type == attack for sample in train])
    photographs = np.array([sample.is_real for sample in dev])
    problem = Problem(x[~out], [sample for sample in train if sample.attack_type != attack])
    judged = np.concatenate([x[out], x_dev[photographs]])
    samples = [sample for sample in train if sample.attack_type == attack]
    samples += [sample for sample in dev if sample.is_real]
    return {c: _d_eer(problem.fit(c)(judged), samples) for c in CS}


def _embeddings(
    net: CmflNet, config: TrainConfig, samples: Sequence[Sample], progress: bool | None
) -> Matrix:
    """The embeddings of the samples, not augmented: [N, 768], or 384 with one stream."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = net.eval().to(device)
    parts = []
    with bar(lambda: len(samples), shown=progress) as advance, torch.no_grad():
        for batch in unchanged(config, samples):
            parts.append(net.embedding(net.branches(batch.images.to(device))).double().cpu().numpy())
            for _ in batch.positions:
                advance(0)
    net.cpu()
    return np.concatenate(parts)


def _d_eer(logits: Matrix, samples: Sequence[Sample]) -> float:
    from scipy.special import expit

    return float(d_eer(expit(logits), np.array([sample.is_real for sample in samples])).rate)
