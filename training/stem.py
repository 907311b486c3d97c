"""A first convolution that starts from the discrete cosine transform instead of from noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .model import CmflNet

SIZE = 7  # of the filters of DenseNet's first convolution
# How many of its 96 filters look at the brightness and at each of the two colour differences, the lowest
# frequencies first.
LUMA, CHROMA = 49, (24, 23)


def start_with_cosines(net: CmflNet) -> None:
    """Sets the first convolution of each trunk to the DCT basis of 7x7 patches.

    Traces of a generator lie in the high frequencies, which random filters of a small data set's training
    hardly separate from the image.
    """
    for name, trunk in net.named_children():
        if name.startswith("trunk_"):
            with torch.no_grad():
                first = trunk.get_parameter("0.weight")
                first.copy_(cosine_filters())


def cosine_filters() -> Tensor:
    """float32 [96, 3, 7, 7], each of norm 1 and orthogonal to the others."""
    place = torch.arange(SIZE)
    waves = torch.cos(math.pi * (2 * place[None, :] + 1) * place[:, None] / (2 * SIZE))
    waves = waves / waves.norm(dim=1, keepdim=True)
    frequencies = sorted((u + v, u, v) for u in range(SIZE) for v in range(SIZE))
    planes = [torch.outer(waves[u], waves[v]) for _, u, v in frequencies]
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    return torch.stack(
        [
            plane[None] * colour[:, None, None]
            for colour, count in zip(colours, (LUMA, *CHROMA), strict=True)
            for plane in planes[:count]
        ]
    )
