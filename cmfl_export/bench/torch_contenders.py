"""PyTorch as a contender: its own ways of running the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import densenet161

from training.config import Architecture, Spectra
from training.model import TRUNK_CHILDREN, CmflNet
from training.precision import matmul_precision
from training.spectrum import reference_spectrum

from ..images import fit
from .contenders import FOLDER
from .engine import Unit
from .exported import batch_of

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Eager:
    """The network with random weights in eager PyTorch or torch.compile, in batches.

    Args:
        architecture, spectra: the network.
        aligned: whether the images are aligned faces.
        device: "cpu" or "cuda".
        precision: fp32, or bf16 or fp16 for autocast.
        compiled: whether to use torch.compile.
        threads: CPU threads; None leaves the choice to PyTorch.
        images: paths to make batches of.
        channels_last: whether the channels lie together in memory, which convolutions are fastest with.
    """

    def __init__(
        self,
        architecture: Architecture,
        spectra: Spectra,
        aligned: bool,
        device: str,
        precision: str,
        compiled: bool,
        threads: int | None,
        images: Sequence[str],
        channels_last: bool = True,
        **_: object,
    ) -> None:
        use_threads(threads)
        self._aligned = aligned
        self._images = images
        self._device = device
        self._precision = precision
        layout = torch.channels_last if channels_last else torch.contiguous_format
        net = CmflNet(architecture, spectra).eval().to(device).to(memory_format=layout)
        self._net: Callable[[Tensor], Any] = torch.compile(net) if compiled else net

    def about(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def unit(self, measure: str, seconds: float) -> Unit:
        size = int(measure.removeprefix("batch "))
        pixels = torch.from_numpy(batch_of(self._images, size, aligned=self._aligned))

        def run() -> float:
            with torch.inference_mode(), autocast(self._device, self._precision):
                # Scores are wanted on the CPU; copying them also waits for the GPU.
                self._net(pixels.to(self._device)).joint.sigmoid().cpu()
            return size

        return run


class ReferenceLoop:
    """The loop of the official test script, with random weights; arguments as for `Eager`.

    One image at a time is decoded with Pillow, its spectrum is computed with NumPy in float64, and both
    trunks run in eager PyTorch with torchvision's own layers.
    """

    def __init__(
        self,
        architecture: Architecture,
        spectra: Spectra,
        aligned: bool,
        device: str,
        threads: int | None,
        images: Sequence[str],
        **_: object,
    ) -> None:
        use_threads(threads)
        self._aligned = aligned
        self._turn = cycle(images)
        self._device = device
        net = CmflNet(architecture, spectra)
        for name in [name for name, _ in net.named_children() if name.startswith("trunk_")]:
            setattr(net, name, unchanged_trunk(net.get_submodule(name)))
        self._net = net.eval().to(device)

    def about(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def unit(self, measure: str, seconds: float) -> Unit:
        assert measure == FOLDER
        return self._score_next

    def _score_next(self) -> float:
        with Image.open(next(self._turn)) as file:
            pixels = np.array(fit(file.convert("RGB"), aligned=self._aligned))
        branches = []
        with torch.inference_mode():
            if self._net.uses_rgb:
                unit = pixels.transpose(2, 0, 1).astype(np.float32) / 255
                branches.append(self._net.rgb_branch(self._tensor(unit)))
            if self._net.uses_spectrum:
                branches.append(self._net.spectrum_branch(self._tensor(reference_spectrum(pixels))))
            self._net.heads(branches).joint.sigmoid().item()
        return 1

    def _tensor(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(image[None].astype(np.float32)).to(self._device)


def unchanged_trunk(trunk: nn.Module) -> nn.Sequential:
    """Returns torchvision's own layers with the weights of our trunk, whose transitions are reordered."""
    unchanged = nn.Sequential(*list(densenet161(weights=None).features.children())[:TRUNK_CHILDREN])
    unchanged.load_state_dict(trunk.state_dict())
    return unchanged


def products(device: str, precision: str, size: int, chained: int, threads: int) -> Callable[[], None]:
    """Returns a function that multiplies `size` x `size` matrices `chained` times and awaits the result.

    With tf32 a GPU rounds float32 factors to 10 bits, as its convolutions do by default; a CPU does not.
    """
    use_threads(threads)
    matrix = torch.from_numpy(np.random.default_rng(0).normal(0, size**-0.5, (size, size)))
    matrix = matrix.to(device, _DTYPES[precision])

    def run() -> None:
        product = matrix
        with torch.inference_mode(), matmul_precision("tf32" if precision == "tf32" else "ieee"):
            for _ in range(chained):
                product = product @ matrix
            product[0, 0].item()

    return run


def use_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    """Returns autocast to a reduced precision; for fp32 a context that does nothing."""
    return nullcontext() if precision == "fp32" else torch.autocast(device, _DTYPES[precision])
