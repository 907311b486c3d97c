"""DeployNet: the network as it is exported, pixels in and probabilities out."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .model import Branch, CmflNet, to_unit
from .spectrum import reference_spectrum


class DeployNet(nn.Module):
    """Wraps a CmflNet in eval mode; `forward` gives the tensors of `names` in that order.

    Args:
        net: the network; switched to eval mode.
        optional: any of `embedding` ([B, 768], or 384 with one stream), `spectrum` ([B, 3, 224, 224]),
            `spectrum_standardised` (of the same shape, for networks that standardise) and `heatmap`
            (`heatmap_rgb`, `heatmap_spectrum`: [B, 14, 14], for the branches that there are).
    """

    def __init__(self, net: CmflNet, optional: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.net = net.eval()
        self.optional = optional
        self.names = output_names(net, optional)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 [B, 224, 224, 3] RGB."""
        values = self.named(image)
        return tuple(values[name] for name in self.names)

    def named(self, image: Tensor) -> dict[str, Tensor]:
        net = self.net
        pixels = to_unit(image)
        values: dict[str, Tensor] = {}
        branches: dict[str, Branch] = {}
        if net.uses_rgb:
            branches["rgb"] = net.rgb_branch(pixels)
        if net.uses_spectrum:
            values["spectrum"] = net.spectrum(pixels)
            values["spectrum_standardised"] = net.standardised(values["spectrum"])
            branches["spectrum"] = net.spectrum_branch(values["spectrum_standardised"])
        logits = net.heads(list(branches.values()))
        values["p_real"] = torch.sigmoid(logits.joint)
        if logits.rgb is not None and logits.spectrum is not None:
            values["p_real_rgb"] = torch.sigmoid(logits.rgb)
            values["p_real_spectrum"] = torch.sigmoid(logits.spectrum)
        values["embedding"] = torch.cat([branch.embedding for branch in branches.values()], dim=1)
        for name, branch in branches.items():
            values[f"heatmap_{name}"] = grad_cam(branch, _own_head(net, name))
        return values


class Float64Network:
    """A network in float64: the spectrum by its definition in NumPy, trunks and heads in PyTorch.

    What every runtime is compared with. It is several times slower than float32.
    """

    def __init__(self, net: CmflNet) -> None:
        """Copies the network, which stays as it is."""
        self._net = copy.deepcopy(net).double().eval()

    def scores(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """P(real) of each head by the name of its output, float64 [B].

        Args:
            images: uint8 [B, 224, 224, 3] RGB.
        """
        net = self._net
        branches = []
        with torch.no_grad():
            if net.uses_rgb:
                branches.append(net.rgb_branch(torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255.0))
            if net.uses_spectrum:
                spectrum = np.stack([reference_spectrum(image) for image in images])
                branches.append(net.spectrum_branch(net.standardised(torch.from_numpy(spectrum))))
            logits = net.heads(branches)
        found = {"p_real": logits.joint, "p_real_rgb": logits.rgb, "p_real_spectrum": logits.spectrum}
        return {name: torch.sigmoid(value).numpy() for name, value in found.items() if value is not None}


def output_names(net: CmflNet, optional: tuple[str, ...]) -> tuple[str, ...]:
    """The graph outputs of a network, in order (DESIGN: "Names and contracts")."""
    names = ["p_real"]
    if net.architecture == "two_stream":
        names += ["p_real_rgb", "p_real_spectrum"]
    branches = [name for name, used in (("rgb", net.uses_rgb), ("spectrum", net.uses_spectrum)) if used]
    for output in optional:
        if output == "heatmap":
            names += [f"heatmap_{name}" for name in branches]
        elif (
            output == "embedding"
            or (output == "spectrum" and net.uses_spectrum)
            or (output == "spectrum_standardised" and net.standardises)
        ):
            names.append(output)
        else:
            raise ValueError(f"no output {output!r} in {net.architecture} {net.spectra}")
    return tuple(names)


def grad_cam(branch: Branch, head: nn.Linear) -> Tensor:
    """Evidence of *synthetic* by place, [B, 14, 14], >= 0: Grad-CAM of the branch's own head in closed form.

    The logit is w . s(g) + b with g the mean of the maps A and s the sigmoid, so its derivative by A_c is
    w_c s'(g_c) / 196 at every place, and s' = e (1 - e) with the embedding e. The constant 1/196 is left out:
    `ReLU(-sum_c w_c s'(g_c) A_c)`.
    """
    slope = branch.embedding * (1.0 - branch.embedding)
    weight = (head.weight * slope)[:, None, :]
    evidence = weight @ branch.maps.float().flatten(start_dim=2)
    return torch.relu(-evidence).reshape(-1, *branch.maps.shape[2:])


def _own_head(net: CmflNet, branch: str) -> nn.Linear:
    if net.architecture == "one_stream":
        return net.head_joint
    return net.head_rgb if branch == "rgb" else net.head_spectrum
