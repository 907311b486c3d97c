"""What a training step minimises, beside what dev is judged by."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from training.config import TrainConfig
from training.model import Logits
from training.module import CmflModule

pytestmark = pytest.mark.usefixtures("small_trunk")

TARGETS = torch.tensor([1.0, 0.0, 1.0, 1.0])


def some_logits() -> Logits:
    return Logits(*torch.randn((3, 4), generator=torch.Generator().manual_seed(0)))


def test_smoothed_labels_are_those_of_cross_entropy() -> None:
    module, logits = CmflModule(TrainConfig(loss="bce", label_smoothing=0.2)), some_logits()
    expected = F.binary_cross_entropy_with_logits(logits.joint, 0.8 * TARGETS + 0.1)
    torch.testing.assert_close(module._training_loss(logits, TARGETS), expected)
    # Dev is judged by its labels.
    plain = F.binary_cross_entropy_with_logits(logits.joint, TARGETS)
    torch.testing.assert_close(module.loss(logits, TARGETS), plain)


def test_smoothed_labels_with_the_cross_modal_loss() -> None:
    logits = some_logits()
    module = CmflModule(TrainConfig(label_smoothing=0.2))
    expected = 0.9 * module.loss(logits, TARGETS) + 0.1 * module.loss(logits, 1 - TARGETS)
    torch.testing.assert_close(module._training_loss(logits, TARGETS), expected)
    without = CmflModule(TrainConfig())
    assert torch.equal(without._training_loss(logits, TARGETS), without.loss(logits, TARGETS))
    # All smoothed away, both classes have one loss.
    none = CmflModule(TrainConfig(label_smoothing=1.0))
    torch.testing.assert_close(none._training_loss(logits, TARGETS), none._training_loss(logits, 1 - TARGETS))
