"""Reads a network's weights back from an exported fp32 file, to go on from a published model."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from cmfl_export.base.errors import ModelError
from cmfl_export.runtime import ModelCard, read_checked

from .config import Architecture, Spectra
from .model import CmflNet

_PREFIX = "net."  # of the network's tensors in an exported file
_MEAN, _DEVIATION = "standardise.mean", "standardise.deviation"
# Where a convolution comes before a normalisation, the exporter multiplies both into one. Its bias ends so.
_FOLDED_BIAS = "_bias"
_BEFORE_NORM = (
    (re.compile(r"(trunk_\w+)\.0\."), r"\1.1"),
    (re.compile(r"(trunk_\w+\.\d+\.denselayer\d+)\.conv1\."), r"\1.norm2"),
)


def read_exported(path: Path) -> tuple[CmflNet, ModelCard]:
    """The network of an exported file, with its weights, and the file's card.

    It computes what the network computed that was exported, but a normalisation that was multiplied into the
    convolution before it has only its offset left: mean 0, deviation 1, factor 1. Training can go on from it.

    Raises:
        ModelError: the file is not an exported model, or not in fp32, or its tensors are not those of the
            network in its card.
    """
    model, card = read_checked(path)
    if card.precision != "fp32":
        raise ModelError(f"{path} is {card.precision}; weights can only be read from an fp32 file")
    values = {
        name.removeprefix(_PREFIX): torch.from_numpy(np.array(tensor.array()))
        for name, tensor in model.file.initializers.items()
        if name.startswith(_PREFIX)
    }
    # `read_checked` has compared both with the known ones.
    architecture, spectra = cast(Architecture, card.architecture), cast(Spectra, card.spectra)
    net = CmflNet(architecture, spectra, standardise=_MEAN in values and _DEVIATION in values)
    eps = {name: module.eps for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    folded = {
        norm: value
        for key, value in values.items()
        if key.endswith(_FOLDED_BIAS) and (norm := _norm_behind(key)) in eps
    }
    state = {}
    for key, value in net.state_dict().items():
        norm, _, kind = key.rpartition(".")
        if key in values:
            state[key] = values[key]
        elif kind == "num_batches_tracked":
            state[key] = torch.zeros_like(value)
        elif norm in folded:
            bias = folded[norm]
            factor = torch.full_like(bias, math.sqrt(1.0 + eps[norm]))
            neutral = {"weight": factor, "bias": bias}
            neutral |= {"running_mean": torch.zeros_like(bias), "running_var": torch.ones_like(bias)}
            state[key] = neutral[kind]
    expected = {name: value.shape for name, value in net.state_dict().items()}
    wrong = [name for name, shape in expected.items() if name not in state or state[name].shape != shape]
    if wrong:
        raise ModelError(
            f"{path} has no weights of {card.architecture} {card.spectra} to read: {wrong[0]} is missing or "
            "of another shape; take the weights that it was exported from"
        )
    net.load_state_dict(state)
    return net.eval(), card


def _norm_behind(key: str) -> str:
    """The name of the normalisation that follows a convolution, from the name of that one's bias; or ""."""
    for pattern, name in _BEFORE_NORM:
        found = pattern.match(key)
        if found:
            return found.expand(name)
    return ""
