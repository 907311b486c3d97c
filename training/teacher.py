"""A teacher: a network of timm, fine-tuned on a protocol, for the RGB branch to learn from (`lesson`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from cmfl_export.base.errors import DownloadError, ModelError, UsageError, need

from .checkpoint_files import safetensors_header
from .model import Logits, to_unit
from .weights import best_of, read_tensors, refuse_others, weights_metadata

STAGES = 2  # of its last ones, whose maps are taught: at stride 16 and 32 in most networks


class Teaching(NamedTuple):
    """What a teacher makes of a batch."""

    logits: Tensor  # [B], of P(real)
    maps: list[Tensor]  # [B, C, H, W] of its last stages, the coarsest one last


class Teacher(nn.Module):
    """A network of timm with one logit of P(real).

    Args:
        backbone: timm's name of the network, such as `tf_efficientnet_lite0`.
        pretrained: start from its ImageNet weights, which timm downloads once.

    Raises:
        PackageError: timm is not installed.
        CmflError: an unknown name, a network without maps of its stages, or no weights to be had.
    """

    def __init__(self, backbone: str, *, pretrained: bool = False) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise need("teacher", "a teacher (timm)") from error
        if not timm.is_model(backbone):
            raise UsageError(f"timm has no network {backbone!r}; timm.list_models() lists them")
        try:
            self.backbone = timm.create_model(backbone, pretrained=pretrained, num_classes=1)
        except (OSError, RuntimeError) as error:
            raise DownloadError(
                f"the ImageNet weights of {backbone} cannot be had ({_first_line(error)}); give their file "
                "with --backbone-weights"
            ) from error
        if not hasattr(self.backbone, "forward_intermediates"):
            raise UsageError(f"{backbone} does not give the maps of its stages; choose another network")
        about: dict[str, Any] = self.backbone.pretrained_cfg
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(about[name]).view(3, 1, 1), persistent=False)

    backbone: Any
    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor, _change: object = None) -> Logits:
        """uint8 [B, H, W, 3] RGB -> one logit per image, as a one-stream network has it."""
        return Logits(self.teach(images).logits)

    def teach(self, images: Tensor) -> Teaching:
        """The same, with the maps of the last stages."""
        pixels = (to_unit(images) - self.mean) / self.std
        last, maps = self.backbone.forward_intermediates(pixels, indices=STAGES, output_fmt="NCHW")
        return Teaching(self.backbone.forward_head(last)[:, 0], maps)

    def train(self, mode: bool = True) -> Self:
        """As of any module; the normalisations keep the statistics that they have: batches are small."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def make_teacher(backbone: str, weights: str, side: int) -> Teacher:
    """A teacher to be fine-tuned, from its ImageNet weights.

    Args:
        backbone: timm's name of the network.
        weights: a .safetensors file of its weights with timm's names, or empty to let timm download them.
        side: of the squares that it has to take.

    Raises:
        CmflError: see `Teacher`; or the file is not of this network; or it cannot take such squares.
    """
    teacher = Teacher(backbone, pretrained=not weights)
    if weights:
        _load_backbone(teacher.backbone, Path(weights), backbone)
    try:
        with torch.no_grad():
            teacher.eval().teach(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"{backbone} cannot take squares of {side} pixels ({_first_line(error)}); choose another network "
            "or another --crop"
        ) from error
    return teacher


def load_teacher(path: Path) -> Teacher:
    """Loads a teacher in eval mode.

    Args:
        path: a run folder of `cmfl train --backbone`, of which the best, or a .safetensors file of one.

    Raises:
        CmflError: no such file, not one of a teacher, or damaged.
    """
    path = best_of(path) if path.is_dir() else path
    if not path.is_file():
        raise ModelError(f"no teacher at {path}; give the run folder of cmfl train --backbone")
    shapes, config, _ = weights_metadata(path)
    if not config.backbone:
        raise ModelError(f"{path} is a detector, not a teacher; a teacher comes from cmfl train --backbone")
    teacher = Teacher(config.backbone)
    refuse_others(teacher, shapes, path, config.backbone)
    teacher.load_state_dict(read_tensors(path))
    return teacher.eval()


def asker(path: Path) -> Callable[[Tensor], Teaching]:
    """A function that asks the teacher at `path` about images, on their device, and does not change it.

    A function and no module, so that the teacher is no part of the network that asks: not trained, not
    averaged, not saved with it.
    """
    teacher = load_teacher(path).requires_grad_(False)

    def ask(images: Tensor) -> Teaching:
        with torch.no_grad():
            return teacher.to(images.device).teach(images)

    return ask


def _load_backbone(network: Any, path: Path, name: str) -> None:
    """Loads all of a network of timm but its classifier."""
    if not path.is_file():
        raise ModelError(f"no weights at {path}; give the .safetensors file of {name}")
    shapes, _ = safetensors_header(path)
    own = network.get_classifier()
    classifier = {f"{prefix}." for prefix, module in network.named_modules() if module is own}

    def is_kept(key: str) -> bool:
        return not key.startswith(tuple(classifier))

    kept = {key: shape for key, shape in shapes.items() if is_kept(key)}
    classes = {key: tuple(value.shape) for key, value in network.state_dict().items() if not is_kept(key)}
    refuse_others(network, kept | classes, path, name)
    tensors = {key: value for key, value in read_tensors(path).items() if key in kept}
    network.load_state_dict(tensors, strict=False)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
