"""Cross Modal Focal Loss, from logits (George & Marcel, CVPR 2021; METHOD: "Loss")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import Logits

EPSILON = 1e-9  # part of the definition


class CrossModalFocalLoss(nn.Module):
    """A focal loss in which each branch is let off where both branches are right and the other is sure.

    With p_a, p_b the probabilities that the branches give to the true class:
    `w_a = (p_b + eps) * m * p_a * p_b / (p_a + p_b + eps)`, `L_a = -alpha * (1 - w_a)^gamma * log(p_a)`, and
    the same with a and b exchanged; the loss is the mean of the two.

    Args:
        alpha: factor of the whole loss.
        gamma: focusing exponent; 0 makes it plain cross-entropy.
        multiplier: m above. Up to 2 the weights stay within [0, 1].
        attack_only: weight synthetic images only; real ones get plain cross-entropy (a variant in the
            literature, off in the paper).
        stop_gradient: treat the other branch's probability as a constant (a variant, off in the paper).
    """

    def __init__(
        self,
        alpha: float = 1.0,
        gamma: float = 3.0,
        multiplier: float = 2.0,
        *,
        attack_only: bool = False,
        stop_gradient: bool = False,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.multiplier = multiplier
        self.attack_only = attack_only
        self.stop_gradient = stop_gradient

    def forward(self, rgb_logits: Tensor, spectrum_logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss over the batch.

        Args:
            rgb_logits, spectrum_logits: float [B], any finite value.
            targets: [B], 1 = real, 0 = synthetic; of any number type.

        Returns:
            Scalar; float32, or float64 for float64 logits.
        """
        if not rgb_logits.shape == spectrum_logits.shape == targets.shape:
            raise ValueError(
                f"logits and targets must have one shape, got {tuple(rgb_logits.shape)}, "
                f"{tuple(spectrum_logits.shape)}, {tuple(targets.shape)}"
            )
        with torch.autocast(rgb_logits.device.type, enabled=False):
            # Everything follows from log p(true class), which is exact and finite for any logit.
            sign = 2.0 * targets.to(_at_least_float32(rgb_logits)) - 1.0
            log_a = F.logsigmoid(sign * _as_float(rgb_logits))
            log_b = F.logsigmoid(sign * _as_float(spectrum_logits))
            return 0.5 * (self._branch(log_a, log_b, targets) + self._branch(log_b, log_a, targets)).mean()

    def _branch(self, log_own: Tensor, log_other: Tensor, targets: Tensor) -> Tensor:
        own, other = log_own.exp(), log_other.exp()
        if self.stop_gradient:
            other = other.detach()
        weight = (other + EPSILON) * self.multiplier * own * other / (own + other + EPSILON)
        if self.attack_only:
            weight = torch.where(targets > 0.5, torch.zeros_like(weight), weight)
        remaining = 1.0 - weight
        if not float(self.gamma).is_integer():
            # eps can push a weight a hair above 1, where only whole powers are defined.
            remaining = remaining.clamp_min(1e-12)
        focal: Tensor = remaining**self.gamma
        return -self.alpha * focal * log_own


class DetectionLoss(nn.Module):
    """What training minimises: `beta * CMFL(rgb, spectrum) + (1 - beta) * BCE(joint)`, or BCE(joint) alone.

    Args:
        cmfl: the cross modal part, or None for plain BCE on the joint head.
        beta: weight of the cross modal part, in [0, 1].
    """

    def __init__(self, cmfl: CrossModalFocalLoss | None = None, beta: float = 0.5) -> None:
        super().__init__()
        self.cmfl = cmfl
        self.beta = beta

    def forward(self, logits: Logits, targets: Tensor) -> Tensor:
        """logits of [B] and targets [B] (1 real, 0 synthetic) -> scalar."""
        joint = _as_float(logits.joint)
        bce = F.binary_cross_entropy_with_logits(joint, targets.to(joint.dtype))
        if self.cmfl is None:
            return bce
        if logits.rgb is None or logits.spectrum is None:
            raise ValueError("CMFL needs the heads of both branches; train one_stream with loss 'bce'")
        cross_modal: Tensor = self.cmfl(logits.rgb, logits.spectrum, targets)
        return self.beta * cross_modal + (1.0 - self.beta) * bce


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _as_float(x: Tensor) -> Tensor:
    return x.to(_at_least_float32(x))
