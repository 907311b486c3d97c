"""What a teacher adds to the loss of a detector."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import WIDTH, Logits
from .teacher import Teaching

SHARE = 0.5  # of the loss on scores that goes by the teacher, not by the label


class Lesson(nn.Module):
    """The RGB trunk's maps have to predict the teacher's, and the scores have to come near its scores.

    A 1x1 convolution per stage of the teacher reads its maps, standardised per channel over the batch, from
    those of the trunk; it is thrown away after the training.

    Args:
        ask: gives the teacher's answer to a batch of images; see `training.teacher.asker`.
        channels: of the teacher's maps, stage by stage.
    """

    def __init__(self, ask: Callable[[Tensor], Teaching], channels: list[int]) -> None:
        super().__init__()
        self.ask = ask
        self.readers = nn.ModuleList(nn.Conv2d(WIDTH, count, 1) for count in channels)

    def forward(self, images: Tensor, maps: Tensor, logits: Logits, loss: Tensor) -> Tensor:
        """The whole loss of a batch.

        Args:
            images: uint8 [B, H, W, 3], as the detector got them.
            maps: [B, 384, h, w], of its RGB trunk.
            logits: its logits [B].
            loss: scalar, its loss by the labels.

        Returns:
            Scalar: half of `loss`, half of the cross-entropy against the teacher's P(real), of the joint head
            and of the RGB head if there is one, and the smooth L1 distance of the maps, the mean over the
            stages.
        """
        answer = self.ask(images)
        with torch.autocast(images.device.type, enabled=False):
            wanted = torch.sigmoid(answer.logits.float())
            heads = [head.float() for head in (logits.joint, logits.rgb) if head is not None]
            by_score = torch.stack(
                [F.binary_cross_entropy_with_logits(head, wanted) for head in heads]
            ).mean()
            by_map = torch.stack(
                [
                    self._distance(reader, maps.float(), target.float())
                    for reader, target in zip(self.readers, answer.maps, strict=True)
                ]
            ).mean()
        return (1.0 - SHARE) * loss + SHARE * by_score + by_map

    def _distance(self, reader: nn.Module, maps: Tensor, target: Tensor) -> Tensor:
        """Between a stage of the teacher and what is read of it, at the coarser resolution of the two."""
        deviation, mean = torch.std_mean(target, dim=(0, 2, 3), correction=0, keepdim=True)
        standardised = (target - mean) / (deviation + 1e-3)
        sides = (min(maps.shape[2], target.shape[2]), min(maps.shape[3], target.shape[3]))
        maps, standardised = (F.adaptive_avg_pool2d(each, sides) for each in (maps, standardised))
        distance: Tensor = F.smooth_l1_loss(reader(maps), standardised)
        return distance


def make_lesson(ask: Callable[[Tensor], Teaching], side: int) -> Lesson:
    """A lesson for squares of `side` pixels; the teacher is asked once for the sizes of its maps."""
    maps = ask(torch.zeros(1, side, side, 3, dtype=torch.uint8)).maps
    return Lesson(ask, [each.shape[1] for each in maps])
