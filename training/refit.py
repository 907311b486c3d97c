"""The joint head fitted anew: a logistic regression on the embeddings of a trained network."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
from .dataset import not_augmented
from .logistic import Linear, Matrix, Problem
from .model import WIDTH, CmflNet
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
        attacks: those by which it was chosen, one at a time; empty where it was chosen by all of dev.
        before, after: D-EER of the joint head on dev.
        images: of train that it was fitted to, those that were sent once more among them.
        of_branches: the same of the heads of the branches, by name, where they were fitted too.
    """

    c: float
    rates: Mapping[float, float]
    attacks: tuple[str, ...]
    before: float
    after: float
    images: int
    of_branches: Mapping[str, Refit] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The outcome as text."""
        lines = self._lines("joint")
        for name, found in self.of_branches.items():
            lines += found._lines(name)
        return lines

    def _lines(self, head: str) -> list[str]:
        if not self.rates:
            return [f"{head} head refitted to {self.images} images, C {self.c:g} as given", self._on_dev()]
        by = "D-EER on dev"
        if self.attacks:
            by = f"mean D-EER of {', '.join(self.attacks)}, each left out and, in dev, seen"
        return [
            f"{head} head refitted to {self.images} images, C by the {by}:",
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
        of_the_branches |= {f"dev_d_eer_{name}": found.after for name, found in self.of_branches.items()}
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
    branches: bool = False,
    resend: int = 0,
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
        branches: also fit the heads of both branches, each to its own half of the embeddings.
        resend: how often each image of train and dev is there besides, compressed or resized once more by
            chance, so that the head does not go by what a messenger takes away.
        workers: loader processes.
        skip_missing: go on without the files that are missing or unreadable.
        progress: a bar on standard error; None shows it on a terminal.

    Raises:
        CmflError: unusable weights, protocol, data or output.
    """
    check_ending(out, (".safetensors",), "the weights")
    if resend < 0:
        raise UsageError(f"resend must be at least 0, not {resend}")
    if c is not None and not 0 < c < math.inf:
        raise UsageError(f"C must be above 0, not {c}")
    loaded = load_weights(weights)
    refuse_overwriting([out], [("the weights file itself", loaded.path)])
    if not loaded.config:
        raise UsageError(f"{loaded.path} is an official checkpoint; refit takes weights of cmfl train")
    known = {one.name for one in fields(TrainConfig)}
    trained = TrainConfig(**{key: value for key, value in loaded.config.items() if key in known})
    config = replace(trained, protocol=protocol, data_root=data_root, workers=workers)
    splits = read_protocol(protocol)
    kept, _ = leave_out(splits.train, replace(config, leave_out=leave_out_attacks).attacks_left_out)
    train, dev = (
        usable(samples, data_root, split, skip_missing, opener(config))
        for split, samples in (("train", kept), ("dev", splits.dev))
    )
    found = refit_head(
        loaded.net, config, train, dev, c=c, branches=branches, resend=resend, progress=progress
    )
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
    branches: bool = False,
    resend: int = 0,
    progress: bool | None = None,
) -> Refit:
    """Replaces the joint head of `net` by the regression whose C is best for attacks seen and left out.

    For each C and each attack of train there are two figures against the photographs of dev, and their mean
    counts: the D-EER of the attack's images of train by a regression without them, and that of its images in
    dev by the regression on all of train. The first alone would choose a head that takes no notice of what an
    attack shows, since that helps none that is left out. All attacks weigh alike, however many images they
    have. Of the C whose mean is within one standard error of the best one's, over the attacks, the smallest
    is taken: the strongest regularisation that is not clearly worse. With a single attack the D-EER on dev
    decides, and among equals the smallest C.

    Args:
        net: changed in place.
        config: says how images are read.
        train, dev: the samples.
        c: the C to fit with; None chooses it.
        branches, resend, progress: as for `refit`.
    """
    log.info("computing the embeddings of %d images", (1 + resend) * (len(train) + len(dev)))
    parts = [_embeddings(net, config, [*train, *dev], number, progress) for number in range(1 + resend)]
    x = np.concatenate([part[: len(train)] for part in parts])
    x_dev = np.concatenate([part[len(train) :] for part in parts])
    train, dev = [*train] * len(parts), [*dev] * len(parts)
    found = _fit(net.head_joint, x, train, x_dev, dev, c)
    if branches and net.architecture == "two_stream":
        of_branches = {
            name: _fit(head, x[:, part], train, x_dev[:, part], dev, c)
            for name, head, part in (
                ("rgb", net.head_rgb, slice(WIDTH)),
                ("spectrum", net.head_spectrum, slice(WIDTH, 2 * WIDTH)),
            )
        }
        found = replace(found, of_branches=of_branches)
    return found


def _fit(
    layer: torch.nn.Linear,
    x: Matrix,
    train: Sequence[Sample],
    x_dev: Matrix,
    dev: Sequence[Sample],
    c: float | None,
) -> Refit:
    """Replaces one head by a regression; see `refit_head`."""
    weight, bias = (value.detach().double().numpy() for value in (layer.weight, layer.bias))
    before = _d_eer(Linear(weight[0], float(bias[0]))(x_dev), dev)
    attacks = sorted({sample.attack_type for sample in train if not sample.is_real})
    rates: dict[float, float] = {}
    heads = _heads(x, train) if c is None else {c: Problem(x, train).fit(c)}
    if c is not None:
        attacks = []
    elif len(attacks) < 2:
        attacks = []
        rates = {one: _d_eer(head(x_dev), dev) for one, head in heads.items()}
        c = min(rates, key=lambda one: rates[one])
    else:
        folds = [
            _mean(_rates_without(attack, x, train, x_dev, dev), _rates_of(attack, heads, x_dev, dev))
            for attack in attacks
        ]
        rates = {one: float(np.mean([fold[one] for fold in folds])) for one in CS}
        c = _smallest_within_an_error(folds, rates)
    head = heads[c]
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight)[None])
        layer.bias.fill_(head.bias)
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


def _heads(x: Matrix, train: Sequence[Sample]) -> dict[float, Linear]:
    """The regression on all of train, for each C."""
    problem = Problem(x, train)
    return {c: problem.fit(c) for c in CS}


def _rates_of(
    attack: str, heads: Mapping[float, Linear], x_dev: Matrix, dev: Sequence[Sample]
) -> dict[float, float]:
    """The D-EER of an attack in dev against its photographs, for each C; empty if dev does not have it."""
    judged = [place for place, sample in enumerate(dev) if sample.is_real or sample.attack_type == attack]
    samples = [dev[place] for place in judged]
    if all(sample.is_real for sample in samples):
        return {}
    return {c: _d_eer(head(x_dev[judged]), samples) for c, head in heads.items()}


def _mean(left_out: Mapping[float, float], seen: Mapping[float, float]) -> dict[float, float]:
    """The mean of both, for each C; the first alone where there is no second."""
    return {c: (rate + seen.get(c, rate)) / 2 for c, rate in left_out.items()}


def _embeddings(
    net: CmflNet, config: TrainConfig, samples: Sequence[Sample], resending: int, progress: bool | None
) -> Matrix:
    """The embeddings of the samples, not augmented: [N, 768], or 384 with one stream; see `not_augmented`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = net.eval().to(device)
    parts = []
    with bar(lambda: len(samples), shown=progress) as advance, torch.no_grad():
        for batch in not_augmented(config, samples, resending):
            parts.append(net.embedding(net.branches(batch.images.to(device))).double().cpu().numpy())
            for _ in batch.positions:
                advance(0)
    net.cpu()
    return np.concatenate(parts)


def _d_eer(logits: Matrix, samples: Sequence[Sample]) -> float:
    from scipy.special import expit

    return float(d_eer(expit(logits), np.array([sample.is_real for sample in samples])).rate)
