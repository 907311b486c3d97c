"""Measures training: optimizer steps alone and with the loader, of both branches and of one."""

from __future__ import annotations

import gc
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from training.config import Architecture, Spectra, TrainConfig

from ..training_contenders import Loader, Step
from .figures import BatchSizes, Figures, Out, Seconds, Workers, host_megabytes, measured, numbers, run
from .inputs import augmentation
from .peers import forget_peak, gpu_peak

Loss = Literal["cmfl", "bce"]
NETWORKS: dict[str, tuple[Architecture, Spectra, Loss]] = {
    "both": ("two_stream", "multi", "cmfl"),
    "rgb": ("one_stream", "rgb", "bce"),
}


def main(
    protocol: Path,
    data_root: Path,
    device: str,
    networks: Annotated[str, typer.Option(help="both or rgb, separated by commas.")],
    precisions: Annotated[str, typer.Option(help="fp32 or bf16, separated by commas.")],
    batch_sizes: BatchSizes,
    crop: Annotated[int, typer.Option(help="Side of the squares that the branch rgb alone is trained on.")],
    workers: Workers,
    seconds: Seconds,
    out: Out,
) -> None:
    """Rows: network, precision, batch size, and images/s of steps alone and fed by the loader."""
    base = TrainConfig(
        protocol=str(protocol), data_root=str(data_root), workers=workers, augment=augmentation()
    )
    figures = Figures(out, device=device, workers=workers, augment=base.augment)
    sizes = numbers(batch_sizes)
    largest = asdict(replace(base, batch_size=max(sizes)))
    figures.attempt(
        {"network": "loader alone", "precision": "uint8", "batch": max(sizes)},
        lambda: {"fed": _rate(Loader(largest, None), "loader", seconds)},
    )
    for network in networks.split(","):
        architecture, spectra, loss = NETWORKS[network]
        for precision in precisions.split(","):
            for size in sizes:
                config = replace(
                    base,
                    architecture=architecture,
                    spectra=spectra,
                    loss=loss,
                    crop=base.crop if network == "both" else crop,
                    batch_size=size,
                )
                keys = {"network": network, "precision": precision, "batch": size}
                figures.attempt(keys, partial(_figures, config, precision, device, seconds))
                gc.collect()  # the network of this row, before the next one needs its memory


def _figures(config: TrainConfig, precision: str, device: str, seconds: float) -> dict[str, Any]:
    forget_peak(device)
    step = Step(config=asdict(config), precision=precision, device=device, threads=None)
    operations = step.about()["operations"]
    alone, fed = (_rate(step, measure, seconds) for measure in ("step", "fed"))
    return {
        "alone": alone,
        "fed": fed,
        "loader_share": max(0.0, 1 - fed / alone),
        "operations": operations,
        "gpu_mb": gpu_peak(device),
        "host_mb": host_megabytes(),
    }


def _rate(engine: Step | Loader, measure: str, seconds: float) -> float:
    rate: float = measured(engine.unit(measure, seconds), seconds)["rate"]
    return rate


if __name__ == "__main__":
    run(main)
