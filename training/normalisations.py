"""Normalisations that an export multiplied into their convolutions, measured anew for training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .model import CmflNet


@dataclass
class _Sums:
    """Of all values of each channel, in float64."""

    count: int = 0
    values: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """features: [B, C, H, W]."""
        exact = features.detach().double()
        self.count += exact.numel() // exact.shape[1]
        self.values = self.values + exact.sum(dim=(0, 2, 3))
        self.squares = self.squares + exact.square().sum(dim=(0, 2, 3))


def folded(net: CmflNet) -> list[nn.BatchNorm2d]:
    """The normalisations of `net` that only add their offset, as `read_exported` leaves them.

    In evaluation these compute what the exported network computes. In training they would divide by the
    deviation of the batch, which nothing multiplies back.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    return [norm for norm in norms if _only_adds(norm)]


def _only_adds(norm: nn.BatchNorm2d) -> bool:
    assert norm.running_mean is not None
    # A new normalisation has an offset of zero, an exported one has not.
    return not norm.running_mean.any() and bool(norm.bias.any())


def measure(net: CmflNet, batches: Iterable[Tensor]) -> None:
    """Gives the folded normalisations of `net` the mean, deviation and factor of their features.

    `net` computes the same before and after. In training mode it then starts from what it computes in
    evaluation, as the network did that was exported.

    Args:
        net: changed in place; its mode is not.
        batches: uint8 [B, 224, 224, 3] images, a few hundred of those to train on in all.
    """
    sums = {norm: _Sums() for norm in folded(net)}
    handles: list[RemovableHandle] = [
        norm.register_forward_pre_hook(lambda norm, inputs: sums[norm].add(inputs[0])) for norm in sums
    ]
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            for images in batches:
                net(images)
    finally:
        net.train(training)
        for handle in handles:
            handle.remove()
    for norm, found in sums.items():
        _set(norm, found)


def _set(norm: nn.BatchNorm2d, found: _Sums) -> None:
    assert isinstance(found.values, Tensor), "no images to measure on"
    assert isinstance(found.squares, Tensor)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean = found.values / found.count
    variance = (found.squares / found.count - mean.square()).clamp_min(0.0)
    with torch.no_grad():
        norm.bias.add_(mean.to(norm.bias))
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
