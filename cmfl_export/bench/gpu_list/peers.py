"""Measures the same network in PyTorch: eager, channels_last in bf16, and torch.compile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...runtime import read_card
from ..torch_contenders import Eager
from .figures import BatchSizes, Figures, Out, Seconds, host_megabytes, measured, numbers, run

# By name: precision, channels_last, torch.compile.
WAYS = {
    "eager": ("fp32", False, False),
    "channels_last": ("bf16", True, False),
    "compile": ("bf16", True, True),
}


def main(
    model: Path,
    device: str,
    ways: str,
    images: Path,
    batch_sizes: BatchSizes,
    seconds: Seconds,
    out: Out,
) -> None:
    """Rows: way, precision, batch size, images/s, latency and memory; the weights are random."""
    card = read_card(model)
    paths = [str(path) for path in sorted(images.glob("*.jpg"))]
    figures = Figures(out, device=device)

    def rate(way: str, size: int) -> dict[str, Any]:
        precision, channels_last, compiled = WAYS[way]
        network: dict[str, Any] = {"architecture": card.architecture, "spectra": card.spectra}
        engine = Eager(
            **network,
            aligned=card.aligned,
            device=device,
            precision=precision,
            compiled=compiled,
            threads=None,
            images=paths,
            channels_last=channels_last,
        )
        forget_peak(device)
        found = measured(engine.unit(f"batch {size}", seconds), seconds)
        return found | {"gpu_mb": gpu_peak(device), "host_mb": host_megabytes()}

    for way in ways.split(","):
        for size in numbers(batch_sizes):
            keys = {"way": way, "precision": WAYS[way][0], "batch": size}
            figures.attempt(keys, partial(rate, way, size))


def gpu_peak(device: str) -> int | None:
    """Returns the megabytes that PyTorch has taken on the GPU at most since `forget_peak`."""
    return round(torch.cuda.max_memory_reserved() / 1e6) if device == "cuda" else None


def forget_peak(device: str) -> None:
    """Gives unused memory of the GPU back, and counts from here."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    run(main)
