"""What PyTorch is measured with: the ways differ in speed, not in what they compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cmfl_export.bench import torch_contenders
from cmfl_export.bench.contenders import FOLDER
from training import model
from training.config import Architecture, Spectra

NETWORKS = [("two_stream", "multi"), ("one_stream", "rgb"), ("one_stream", "fft")]


@pytest.fixture
def small_trunks(small_trunk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One convolution instead of DenseNet, also where the trunk is taken apart."""
    monkeypatch.setattr(torch_contenders, "unchanged_trunk", lambda trunk: trunk)


@pytest.fixture
def joint_logits(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every joint logit that any network computes, collected."""
    found: list[Tensor] = []
    heads = model.CmflNet.heads

    def watched(self: model.CmflNet, branches: list[model.Branch]) -> model.Logits:
        logits = heads(self, branches)
        found.append(logits.joint.float())
        return logits

    monkeypatch.setattr(model.CmflNet, "heads", watched)
    return found


def eager(photographs: list[Path], **options: Any) -> torch_contenders.Eager:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "architecture": "two_stream",
        "spectra": "multi",
        "aligned": True,
        "device": "cpu",
        "precision": "fp32",
        "compiled": False,
        "threads": None,
        "images": [str(path) for path in photographs],
        "compared": 0,
    }
    return torch_contenders.Eager(**(given | options))


@pytest.mark.parametrize(("architecture", "spectra"), NETWORKS)
def test_the_loop_scores_like_the_batch(
    architecture: Architecture,
    spectra: Spectra,
    photographs: list[Path],
    small_trunks: None,
    joint_logits: list[Tensor],
) -> None:
    images = [str(path) for path in photographs]
    whole = eager(photographs, architecture=architecture, spectra=spectra).unit("batch 3", 0.0)
    torch.manual_seed(0)
    loop = torch_contenders.ReferenceLoop(architecture, spectra, True, "cpu", None, images).unit(FOLDER, 0.0)
    assert whole() == 3
    assert [loop(), loop(), loop()] == [1, 1, 1]
    batch, *singles = joint_logits
    np.testing.assert_allclose(batch.numpy(), torch.cat(singles).numpy(), atol=1e-4)
    assert batch.std() > 1e-3


@pytest.mark.parametrize(
    "options", [{"precision": "bf16"}, {"compiled": True}, {"channels_last": False}], ids=str
)
def test_other_ways_compute_the_same_network(
    options: dict[str, Any],
    photographs: list[Path],
    small_trunks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits: list[Tensor] = []
    sigmoid = Tensor.sigmoid

    def watched(joint: Tensor) -> Tensor:
        logits.append(joint)
        return sigmoid(joint)

    for engine in (eager(photographs), eager(photographs, **options)):
        run = engine.unit("batch 4", 0.0)
        # The first run of a compiled one traces, and would take the watcher into its graph.
        run()
        with monkeypatch.context() as patch:
            patch.setattr(Tensor, "sigmoid", watched)
            run()
    expected, found = logits
    assert found.dtype == (torch.bfloat16 if "precision" in options else torch.float32)
    tolerance = 0.3 * expected.std().item()
    np.testing.assert_allclose(found.float().numpy(), expected.numpy(), atol=tolerance)


def test_products_leave_the_precision_of_the_process_alone() -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    for precision in ("tf32", "fp32"):
        torch_contenders.products("cpu", precision, 8, 1, 1)()
        assert torch.backends.cuda.matmul.fp32_precision == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_multiply_as_often_as_they_say(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.dtype, torch.Size]] = []
    multiply: Callable[[Tensor, Tensor], Tensor] = Tensor.__matmul__

    def watched(left: Tensor, right: Tensor) -> Tensor:
        seen.append((left.dtype, right.shape))
        return multiply(left, right)

    monkeypatch.setattr(Tensor, "__matmul__", watched)
    torch_contenders.products("cpu", precision, 8, 5, 1)()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert seen == [(dtype, torch.Size([8, 8]))] * 5


def test_the_trunk_of_the_loop_computes_what_ours_does() -> None:
    torch.manual_seed(0)
    ours = model.make_trunk().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        found, expected = torch_contenders.unchanged_trunk(ours).eval()(image), ours(image)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 1e-3
