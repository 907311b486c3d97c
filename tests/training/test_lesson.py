"""What a teacher adds to the loss."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from training.lesson import Lesson, make_lesson
from training.model import WIDTH, Logits
from training.teacher import Teaching

IMAGES = torch.zeros(3, 64, 64, 3, dtype=torch.uint8)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


ANSWER = Teaching(normal(3), [normal(3, 8, 4, 4, seed=1) * 5 + 2, normal(3, 16, 2, 2, seed=2)])
MAPS = normal(3, WIDTH, 4, 4, seed=3)
JOINT, RGB, SPECTRUM = normal(3, 3, seed=4)
LOGITS = Logits(JOINT, RGB, SPECTRUM)


def lesson() -> Lesson:
    torch.manual_seed(0)
    return make_lesson(lambda _: ANSWER, 64)


def test_the_loss_is_what_it_says() -> None:
    taught = lesson()
    wanted = ANSWER.logits.sigmoid()
    both = torch.stack([JOINT, RGB])
    score = F.binary_cross_entropy_with_logits(both, wanted.expand(2, -1))
    distances = []
    for reader, target, side in zip(taught.readers, ANSWER.maps, (4, 2), strict=True):
        deviation, mean = torch.std_mean(target, (0, 2, 3), correction=0, keepdim=True)
        standardised = (target - mean) / deviation
        read = reader(F.adaptive_avg_pool2d(MAPS, side))
        distances.append(F.smooth_l1_loss(read, standardised))
    expected = 0.5 * 0.7 + 0.5 * score + sum(distances) / 2
    found = taught(IMAGES, MAPS, LOGITS, torch.tensor(0.7))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_one_stream_has_one_head_to_teach() -> None:
    taught, loss = lesson(), torch.tensor(0.0)
    one = taught(IMAGES, MAPS, Logits(JOINT), loss)
    torch.testing.assert_close(one, taught(IMAGES, MAPS, Logits(JOINT, JOINT, SPECTRUM), loss))


def test_maps_that_can_be_read_cost_less() -> None:
    taught = lesson()
    optimizer = torch.optim.Adam(taught.parameters(), 1e-2)
    first = taught(IMAGES, MAPS, LOGITS, torch.tensor(0.0))
    for _ in range(60):
        optimizer.zero_grad()
        taught(IMAGES, MAPS, LOGITS, torch.tensor(0.0)).backward()
        optimizer.step()
    assert taught(IMAGES, MAPS, LOGITS, torch.tensor(0.0)) < 0.7 * first


@pytest.mark.parametrize("side", [1, 3])
def test_a_map_that_is_constant(side: int) -> None:
    constant = Teaching(torch.zeros(1), [torch.full((1, 2, side, side), 3.0)])
    taught = make_lesson(lambda _: constant, 32)
    maps = normal(1, WIDTH, 2, 2).requires_grad_()
    loss = taught(IMAGES[:1], maps, Logits(torch.zeros(1)), torch.tensor(0.0))
    loss.backward()
    assert loss.isfinite()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
