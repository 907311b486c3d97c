"""Measures `cmfl train` itself, with one GPU and with all of them (`--devices`)."""

from __future__ import annotations

import csv
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from .figures import Figures, Out, Workers, numbers, run
from .inputs import augmentation


def main(
    protocol: Path,
    data_root: Path,
    devices: Annotated[str, typer.Option(help="Numbers of devices, separated by commas.")],
    architecture: Annotated[str, typer.Option(help="two_stream, or one_stream on small squares.")],
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")],
    epochs: Annotated[int, typer.Option(help="Epochs to train; the last one counts.")],
    batch_size: Annotated[int, typer.Option(help="Images per batch and device.")],
    workers: Workers,
    out: Out,
) -> None:
    """Rows: devices, and the images/s of the last epoch, all devices together."""
    figures = Figures(
        out,
        architecture=architecture,
        precision=precision,
        batch=batch_size,
        workers=workers,
        augment=augmentation(),
    )
    network = ["--architecture", architecture]
    if architecture == "one_stream":
        network += ["--spectra", "rgb", "--loss", "bce", "--crop", "64"]
    for count in numbers(devices):
        with TemporaryDirectory(prefix="cmfl-gpu-") as folder:
            options = {
                "protocol": protocol,
                "data-root": data_root,
                "out": folder,
                "precision": precision,
                "batch-size": batch_size,
                "workers": workers,
                "devices": count,
                "epochs": epochs,
                "augment": augmentation(),
            }
            given = [item for name, value in options.items() for item in (f"--{name}", str(value))]
            command = [sys.executable, "-m", "cmfl_export", "train", *given, *network, "--no-check-images"]
            figures.attempt({"devices": count}, partial(_trained, command, Path(folder) / "metrics.csv"))


def _trained(command: list[str], metrics: Path) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    with metrics.open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    return {"rate": float(last["images_per_second"]), "epoch": int(last["epoch"]) + 1}


if __name__ == "__main__":
    run(main)
