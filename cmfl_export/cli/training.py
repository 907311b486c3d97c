"""Commands of the PyTorch side: train, simulate, demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..base.errors import need
from .options import DATA_ROOT
from .output import say


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.")],
    protocol: Annotated[Path | None, typer.Option(help="Folder with train.csv and dev.csv.")] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    preset: Annotated[str | None, typer.Option(help="paper: the official training script's values.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file, as config.toml of a run folder.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last whole epoch of the run.")
    ] = False,
    architecture: Annotated[str | None, typer.Option(help="two_stream or one_stream.")] = None,
    spectra: Annotated[str | None, typer.Option(help="multi, or for one_stream rgb or fft.")] = None,
    loss: Annotated[str | None, typer.Option(help="cmfl or bce.")] = None,
    gamma: Annotated[float | None, typer.Option(help="CMFL's focusing exponent.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of CMFL against BCE on the joint head.")] = None,
    pretrained: Annotated[bool | None, typer.Option(help="Start from ImageNet (downloads it once).")] = None,
    init: Annotated[
        str | None, typer.Option(help="Weights to start from, separated by commas: branches trained alone.")
    ] = None,
    stem: Annotated[
        str | None, typer.Option(help="First convolutions: random, or dct, the cosine basis.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(help="Train on random squares of this size (spectra rgb); 224 is the whole.")
    ] = None,
    aligned: Annotated[bool | None, typer.Option(help="The images are 224x224 face crops already.")] = None,
    align: Annotated[
        bool | None, typer.Option(help="The images are photographs: find and align each one's largest face.")
    ] = None,
    min_face: Annotated[int | None, typer.Option(help="Smallest face that is looked for, in pixels.")] = None,
    face_scale: Annotated[
        float | None, typer.Option(help="Size of the face in the crop; 1 is ArcFace's framing.")
    ] = None,
    augment: Annotated[
        float | None, typer.Option(help="Probability of blur, and of JPEG; 0 is none.")
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="paper, or broad: also colour, resizing and noise, as likely.")
    ] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a batch and device.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Batches an optimizer step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or adamw.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    weight_decay: Annotated[float | None, typer.Option()] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, cosine or one_cycle.")] = None,
    clip: Annotated[float | None, typer.Option(help="Largest gradient norm; 0 is no limit.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    devices: Annotated[int | None, typer.Option(help="GPUs, or processes on a CPU.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines (start each with torchrun).")] = None,
    workers: Annotated[int | None, typer.Option(help="Loader processes a device.")] = None,
    early_stop: Annotated[
        int | None, typer.Option(help="Epochs without a better dev figure; 0 is never.")
    ] = None,
    average: Annotated[
        float | None, typer.Option(help="Decay of a running average of the weights, as 0.995; 0 is off.")
    ] = None,
    save_every: Annotated[int | None, typer.Option(help="Keep the weights of every N-th epoch.")] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Train without files that are missing or unreadable.")
    ] = False,
    check_images: Annotated[
        bool, typer.Option(help="Decode every image before the first step; else only look for the files.")
    ] = True,
) -> None:
    """Train a detector on a protocol; writes a run folder."""
    values = {
        "protocol": str(protocol) if protocol else None,
        "data_root": str(data_root) if data_root else None,
        "architecture": architecture,
        "spectra": spectra,
        "loss": loss,
        "gamma": gamma,
        "beta": beta,
        "pretrained": pretrained,
        "init": init,
        "stem": stem,
        "crop": crop,
        "aligned": aligned,
        "align": align,
        "min_face": min_face,
        "face_scale": face_scale,
        "augment": augment,
        "augmentation": augmentation,
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "clip": clip,
        "seed": seed,
        "precision": precision,
        "devices": devices,
        "nodes": nodes,
        "workers": workers,
        "early_stop": early_stop,
        "average": average,
        "save_every": save_every,
    }
    with _needs("train", "training"):
        from training.fit import train_from
    run = train_from(
        out,
        preset=preset,
        file=config,
        overrides=values,
        resume=resume,
        skip_missing=skip_missing,
        check_images=check_images,
    )
    for line in run.lines():
        say(line)


def simulate(
    real_dir: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    out_dir: Annotated[Path, typer.Argument(help="Folder to write; must be new or empty.")],
    seed: Annotated[int, typer.Option(help="Decides the simulated generators.")] = 0,
    strength: Annotated[float, typer.Option(help="Of the traces; at 1 the eye sees no difference.")] = 1.0,
    quality: Annotated[
        int | None, typer.Option(help="JPEG of this quality for both classes; PNG by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads.")] = None,
) -> None:
    """Make training data from photographs: each gets a twin with the traces of generator up-sampling."""
    with _needs("train", "the simulator"):
        from training.simulate import simulate_folder
    summary = simulate_folder(
        real_dir, out_dir, seed=seed, strength=strength, quality=quality, workers=workers
    )
    for line in summary.lines():
        say(line)
    if summary.failed:
        raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; must be new or empty.")] = Path(
        "demo"
    ),
) -> None:
    """Run the whole job on data that comes with the installation: train, export, verify, predict."""
    with _needs("demo", "the demo"):
        from .demo_run import demo as run
    for line in run(out):
        say(line)


@contextmanager
def _needs(extra: str, what: str) -> Iterator[None]:
    """Turns a failed import into the error that names the extra to install."""
    try:
        yield
    except ImportError as error:
        raise need(extra, f"{what} ({error.name})") from error
