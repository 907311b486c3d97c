"""CmflNet: trunks on an image and on its spectrum, a head on each and one on both (METHOD: "Network")."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import densenet161

from cmfl_export.base.networks import ARCHITECTURES

from .config import Architecture, Spectra
from .pretrained import imagenet_densenet
from .spectrum import LogSpectrum
from .standardise import Standardise

WIDTH = 384  # channels of a trunk's last map, and so the size of an embedding
TRUNK_CHILDREN = 8  # DenseNet-161 features up to and including transition2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Logits(NamedTuple):
    """One logit of P(real) an image and head, float [B]; a one-stream network has `joint` alone."""

    joint: Tensor
    rgb: Tensor | None = None
    spectrum: Tensor | None = None


class Branch(NamedTuple):
    """What a trunk makes of its input."""

    maps: Tensor  # [B, 384, 14, 14]
    embedding: Tensor  # [B, 384], sigmoid of the maps' mean


class CmflNet(nn.Module):
    """The detector, from decoded pixels to logits.

    Input everywhere: uint8 [B, 224, 224, 3] RGB, as `cmfl_export.images.decode` makes it; scaling, ImageNet
    normalisation and the spectrum are part of the network, so training and production cannot disagree.

    Args:
        architecture: `two_stream`, or `one_stream` (the paper's baselines: one trunk, one head).
        spectra: `multi` with two_stream; `rgb` or `fft` with one_stream.
        pretrained: start the trunks from torchvision's ImageNet weights; see `imagenet_densenet`.
        standardise: standardise the spectrum before its trunk, by the buffers of `self.standardise`.
    """

    def __init__(
        self,
        architecture: Architecture = "two_stream",
        spectra: Spectra = "multi",
        *,
        pretrained: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        check_architecture(architecture, spectra)
        self.architecture = architecture
        self.spectra = spectra
        self.uses_rgb = spectra in ("multi", "rgb")
        self.uses_spectrum = spectra in ("multi", "fft")
        self.standardises = standardise and self.uses_spectrum
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        if self.uses_rgb:
            self.trunk_rgb = make_trunk(pretrained)
        if self.uses_spectrum:
            self.spectrum = LogSpectrum()
            if self.standardises:
                self.standardise = Standardise()
            self.trunk_spectrum = make_trunk(pretrained)
        if architecture == "two_stream":
            self.head_joint = nn.Linear(2 * WIDTH, 1)
            self.head_rgb = nn.Linear(WIDTH, 1)
            self.head_spectrum = nn.Linear(WIDTH, 1)
        else:
            self.head_joint = nn.Linear(WIDTH, 1)

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Logits:
        """The logits; `change`, if given, augments the spectrum before it is standardised."""
        return self.heads(self.branches(images, change))

    def branches(self, images: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> list[Branch]:
        """The branches that there are, in the order rgb, spectrum; `change` as for `forward`."""
        pixels = to_unit(images)
        branches = []
        if self.uses_rgb:
            branches.append(self.rgb_branch(pixels))
        if self.uses_spectrum:
            spectrum = self.spectrum(pixels)
            if change is not None:
                spectrum = change(spectrum)
            branches.append(self.spectrum_branch(self.standardised(spectrum)))
        return branches

    def rgb_branch(self, pixels: Tensor) -> Branch:
        """pixels: float [B, 3, 224, 224] in [0, 1]."""
        return _branch(self.trunk_rgb, (pixels - self.mean) / self.std)

    def standardised(self, spectrum: Tensor) -> Tensor:
        """What the spectrum branch sees of a spectrum, float [B, 3, 224, 224] in [-1, 1] of `LogSpectrum`."""
        if not self.standardises:
            return spectrum
        standardised: Tensor = self.standardise(spectrum)
        return standardised

    def spectrum_branch(self, spectrum: Tensor) -> Branch:
        """spectrum: float [B, 3, 224, 224], from `standardised`."""
        return _branch(self.trunk_spectrum, spectrum)

    def embedding(self, branches: list[Branch]) -> Tensor:
        """What the joint head sees: [B, 768], or 384 with one stream."""
        return torch.cat([branch.embedding for branch in branches], dim=1)

    def heads(self, branches: list[Branch]) -> Logits:
        """The logits from the branches in the order rgb, spectrum."""
        joint = self.head_joint(self.embedding(branches))[:, 0]
        if self.architecture == "one_stream":
            return Logits(joint)
        rgb, spectrum = branches
        return Logits(joint, self.head_rgb(rgb.embedding)[:, 0], self.head_spectrum(spectrum.embedding)[:, 0])


def check_architecture(architecture: str, spectra: str) -> None:
    """Raises ValueError unless the two go together."""
    if spectra not in ARCHITECTURES.get(architecture, ()):
        raise ValueError(
            f"architecture {architecture!r} with spectra {spectra!r}: use two_stream with multi, "
            "or one_stream with rgb or fft"
        )


def make_trunk(pretrained: bool = False) -> nn.Sequential:
    """DenseNet-161 features up to transition2: [B, 3, 224, 224] -> [B, 384, 14, 14]."""
    network = imagenet_densenet() if pretrained else densenet161()
    trunk = nn.Sequential(*list(network.features.children())[:TRUNK_CHILDREN])
    for transition in (trunk[5], trunk[7]):
        # Averaging four places and mixing the channels of a place commute: the same function, a quarter of
        # the products, 7 % of the network's.
        conv = transition.get_submodule("conv")
        del transition.conv
        transition.add_module("conv", conv)
    return trunk


def to_unit(images: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255.0


def _branch(trunk: nn.Sequential, x: Tensor) -> Branch:
    maps = trunk(x)
    # The mean over 196 positions and the sigmoid stay float32 under autocast, and float64 in float64.
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return Branch(maps, torch.sigmoid(wide.mean(dim=(2, 3))))
