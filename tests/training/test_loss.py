"""The loss against a plain NumPy transcription of the equations, its gradient, and the ends of its range."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from training.loss import CrossModalFocalLoss, DetectionLoss
from training.model import Logits

EPS = 1e-9


def numpy_cmfl(
    rgb: np.ndarray,
    spectrum: np.ndarray,
    targets: np.ndarray,
    alpha: float = 1.0,
    gamma: float = 3.0,
    multiplier: float = 2.0,
    attack_only: bool = False,
) -> float:
    """METHOD's equations, term by term, in float64."""
    total = 0.0
    for x, y, target in zip(rgb.astype(float), spectrum.astype(float), targets, strict=True):
        pa, pb = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-y))
        if target == 0:
            pa, pb = 1 - pa, 1 - pb
        wa = (pb + EPS) * multiplier * pa * pb / (pa + pb + EPS)
        wb = (pa + EPS) * multiplier * pb * pa / (pb + pa + EPS)
        if attack_only and target == 1:
            wa = wb = 0.0
        total += 0.5 * (-alpha * (1 - wa) ** gamma * np.log(pa)) + 0.5 * (
            -alpha * (1 - wb) ** gamma * np.log(pb)
        )
    return total / len(targets)


def draw(seed: int, n: int = 64, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale, n), rng.normal(0, scale, n), rng.integers(0, 2, n)


OPTIONS = list(itertools.product([0.25, 1.0], [0.0, 1.0, 2.0, 2.5, 3.0], [1.0, 2.0], [False, True]))


@pytest.mark.parametrize(("alpha", "gamma", "multiplier", "attack_only"), OPTIONS)
def test_equals_the_equations(alpha: float, gamma: float, multiplier: float, attack_only: bool) -> None:
    for seed in range(5):
        a, b, t = draw(seed)
        loss = CrossModalFocalLoss(alpha, gamma, multiplier, attack_only=attack_only)
        expected = numpy_cmfl(a, b, t, alpha, gamma, multiplier, attack_only)
        found64 = loss(torch.tensor(a), torch.tensor(b), torch.tensor(t)).item()
        assert found64 == pytest.approx(expected, abs=1e-9)
        a32, b32 = a.astype(np.float32), b.astype(np.float32)
        found32 = loss(torch.tensor(a32), torch.tensor(b32), torch.tensor(t)).item()
        assert found32 == pytest.approx(
            numpy_cmfl(a32, b32, t, alpha, gamma, multiplier, attack_only), abs=1e-6
        )


def test_defaults_are_the_papers() -> None:
    a, b, t = draw(1)
    found = CrossModalFocalLoss()(torch.tensor(a), torch.tensor(b), torch.tensor(t)).item()
    assert found == pytest.approx(numpy_cmfl(a, b, t, 1.0, 3.0, 2.0), abs=1e-9)


def test_by_hand() -> None:
    """Both branches undecided: p = 1/2, w = (1/2)(2)(1/4)/1 = 1/4, loss = (3/4)^3 ln 2."""
    zero = torch.zeros(2, dtype=torch.float64)
    found = CrossModalFocalLoss()(zero, zero, torch.tensor([0.0, 1.0])).item()
    assert found == pytest.approx(0.75**3 * np.log(2), abs=1e-8)


@pytest.mark.parametrize(
    "options", [{}, {"gamma": 2.5}, {"gamma": 0.0}, {"attack_only": True}, {"multiplier": 1.0}]
)
def test_gradient_is_the_formulas(options: dict[str, Any]) -> None:
    a, b, t = (torch.tensor(values) for values in draw(2, n=12))
    loss = CrossModalFocalLoss(**options)
    assert torch.autograd.gradcheck(lambda x, y: loss(x, y, t), (a.requires_grad_(), b.requires_grad_()))


def test_stopped_gradient_has_the_same_value_and_its_own_gradient() -> None:
    a, b, t = (torch.tensor(values) for values in draw(3, n=8))
    a.requires_grad_()
    stopped = CrossModalFocalLoss(stop_gradient=True)
    assert stopped(a, b, t).item() == CrossModalFocalLoss()(a, b, t).item()
    (found,) = torch.autograd.grad(stopped(a, b, t), a)
    # By finite differences of each half with the other branch's probability frozen.
    step, expected = 1e-6, np.zeros(8)
    for k in range(8):
        for sign in (1, -1):
            moved = a.detach().clone()
            moved[k] += sign * step
            expected[k] += sign * own_half(moved, a.detach(), b, t)
    np.testing.assert_allclose(found.numpy(), expected / (2 * step), atol=1e-7)
    (flowing,) = torch.autograd.grad(CrossModalFocalLoss()(a, b, t), a)
    assert not torch.allclose(found, flowing, atol=1e-4)


def own_half(moved: torch.Tensor, frozen: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> float:
    """The part of the loss through which `a` acts when other branches' probabilities are constants."""
    sign = 2.0 * t - 1.0
    pa, pb = torch.sigmoid(sign * moved), torch.sigmoid(sign * b)
    wa = (pb + EPS) * 2 * pa * pb / (pa + pb + EPS)
    first = (1 - wa) ** 3 * -torch.log(pa)
    fixed = torch.sigmoid(sign * frozen)
    wb = (fixed + EPS) * 2 * pb * fixed / (pb + fixed + EPS)
    second = (1 - wb) ** 3 * -torch.log(pb)
    return 0.5 * (first + second).mean().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0.0, 2.5, 3.0])
def test_finite_at_the_ends(dtype: torch.dtype, gamma: float) -> None:
    ends = torch.tensor([-100.0, -30.0, 0.0, 30.0, 100.0])
    a, b = (grid.flatten().to(dtype).requires_grad_() for grid in torch.meshgrid(ends, ends, indexing="ij"))
    for target in (0.0, 1.0):
        loss = CrossModalFocalLoss(gamma=gamma)(a, b, torch.full((25,), target))
        assert torch.isfinite(loss)
        for gradient in torch.autograd.grad(loss, (a, b)):
            assert torch.isfinite(gradient).all()


def test_float32_whatever_the_autocast() -> None:
    a, b, t = (torch.tensor(values) for values in draw(4))
    a, b = a.float(), b.float()
    expected = CrossModalFocalLoss()(a, b, t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = CrossModalFocalLoss()(a, b, t)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        CrossModalFocalLoss()(torch.zeros(3, 1), torch.zeros(3), torch.zeros(3))


def test_total_is_the_weighted_sum() -> None:
    a, b, t = (torch.tensor(values) for values in draw(5))
    joint = torch.tensor(draw(6)[0])
    p = 1 / (1 + np.exp(-joint.numpy()))
    bce = -np.mean(np.where(t.numpy() == 1, np.log(p), np.log(1 - p)))
    logits = Logits(joint, a, b)
    for beta in (0.0, 0.3, 1.0):
        expected = beta * numpy_cmfl(a.numpy(), b.numpy(), t.numpy()) + (1 - beta) * bce
        assert DetectionLoss(CrossModalFocalLoss(), beta)(logits, t).item() == pytest.approx(
            expected, abs=1e-9
        )
    assert DetectionLoss()(logits, t).item() == pytest.approx(bce, abs=1e-9)


def test_cmfl_needs_both_branches() -> None:
    with pytest.raises(ValueError, match="one_stream"):
        DetectionLoss(CrossModalFocalLoss())(Logits(torch.zeros(2)), torch.zeros(2))
