"""The command line: each command parses, calls one library function, and prints."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from .errors import CmflError, need

app = typer.Typer(
    name="cmfl",
    help="Detection of synthetic faces with Cross Modal Focal Loss: train, export to ONNX, predict, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Threads = Annotated[int | None, typer.Option(help="CPU threads of one run; all cores by default.")]
Provider = Annotated[
    str, typer.Option(help="auto, cpu, cuda or tensorrt. auto takes the best that really loads.")
]
Spectra = Annotated[
    str | None, typer.Option(help="For an official one_stream checkpoint: rgb or fft. Its file does not say.")
]
Weights = Annotated[
    Path, typer.Argument(metavar="WEIGHTS", help="best.safetensors, a run folder, or an official .pth.")
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An exported .onnx file.")]
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...", help="Image files, folders, globs; - reads paths from standard input."
    ),
]


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.")],
    protocol: Annotated[Path | None, typer.Option(help="Folder with train.csv and dev.csv.")] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="What the protocol's file names are relative to.")
    ] = None,
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
    aligned: Annotated[bool | None, typer.Option(help="The images are 224x224 face crops already.")] = None,
    augment: Annotated[
        float | None, typer.Option(help="Probability of blur, and of JPEG; 0 is none.")
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
        "aligned": aligned,
        "augment": augment,
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
        typer.echo(line)


@app.command()
def export(
    weights: Weights,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    outputs: Annotated[
        str, typer.Option(help="Optional graph outputs, separated by commas: embedding, heatmap, spectrum.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="Name in the model card; the file's by default.")] = None,
    spectra: Spectra = None,
    threshold: Annotated[float, typer.Option(help="P(real) from which an image is called real.")] = 0.5,
    data: Annotated[str, typer.Option(help="The card's words on the training data.")] = "",
    licence: Annotated[str, typer.Option(help="The card's words on the terms of use.")] = "not stated",
) -> None:
    """Export weights to one ONNX file, checked against PyTorch before it appears."""
    from .export import export as run

    card = run(
        weights,
        out,
        outputs=[output.strip() for output in outputs.split(",") if output.strip()],
        name=name,
        spectra=spectra,
        threshold=threshold,
        data=data,
        licence=licence,
    )
    typer.echo(
        f"{out}: {card.architecture} {card.spectra}, outputs {', '.join(card.outputs)}; "
        f"max |Δp| {card.parity['max_abs_p']:.1e} against PyTorch on {card.parity['images']}"
    )


@app.command()
def predict(
    model: Model,
    inputs: Inputs,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the rows; standard output by default.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="csv, jsonl, json or parquet; from the file's name by default, else csv."),
    ] = None,
    recursive: Annotated[bool, typer.Option(help="Also look into the folders of folders.")] = True,
    null: Annotated[bool, typer.Option("--null", "-0", help="Paths on standard input end with NUL.")] = False,
    provider: Provider = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Images a run; 8 on the CPU, 64 on a GPU.")] = None,
    threads: Threads = None,
    workers: Annotated[int | None, typer.Option(help="Decoding threads.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own.")] = None,
    aligned: Annotated[bool | None, typer.Option(help="Instead of the model's own geometry.")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Larger images get the status too_large.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an output that was cut off.")] = False,
    progress: Annotated[bool | None, typer.Option(help="Progress bar on standard error.")] = None,
) -> None:
    """Score images; one row for each input, in order."""
    from .images import DEFAULT_MAX_PIXELS
    from .predict import predict_to

    summary = predict_to(
        model,
        inputs,
        out,
        format,
        recursive=recursive,
        null_separated=null,
        provider=provider,
        batch_size=batch_size,
        threads=threads,
        workers=workers,
        threshold=threshold,
        aligned=aligned,
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
        resume=resume,
        progress=progress,
    )
    for line in summary.lines():
        typer.echo(line, err=True)
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def verify(
    model: Model,
    weights: Weights,
    inputs: Inputs,
    tolerance: Annotated[float, typer.Option(help="Largest difference of any probability.")] = 1e-4,
    provider: Provider = "auto",
    threads: Threads = None,
    spectra: Spectra = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the report as JSON.")] = None,
) -> None:
    """Prove that an exported file computes what PyTorch computes; exit code 1 where it does not."""
    from .verify import verify as run

    report = run(
        model,
        weights,
        inputs,
        tolerance=tolerance,
        provider=provider,
        threads=threads,
        spectra=spectra,
        out=out,
    )
    for line in report.lines():
        typer.echo(line)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def show(
    model: Model, json: Annotated[bool, typer.Option("--json", help="The card as it is in the file.")] = False
) -> None:
    """Print the model card inside an exported file."""
    from .runtime import read_card

    card = read_card(model)
    for line in [card.to_json()] if json else card.lines():
        typer.echo(line)


@app.command()
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
        typer.echo(line)
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; must be new or empty.")] = Path(
        "demo"
    ),
) -> None:
    """Run the whole job on data that comes with the installation: train, export, verify, predict."""
    with _needs("demo", "the demo"):
        from training.demo import demo as run
    for line in run(out):
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Say what is installed, which providers really load, and what to do about those that do not."""
    from .doctor import diagnose

    report = diagnose()
    for line in report.lines():
        typer.echo(line)
    if not report.ok:
        raise typer.Exit(1)


def main() -> None:
    """The command `cmfl`: runs the app, and turns errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("cmfl").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names that are not UTF-8, and |Δp| in a code page that lacks it, are shown with escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except CmflError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except Exception as error:
        # Typer's own errors, all of wrong usage, share no class that it makes public.
        if hasattr(error, "format_message"):
            _fail(f"{error.format_message().rstrip('.')} (see: {_help_of(error)})", 2)
        if os.environ.get("CMFL_TRACEBACK"):
            raise
        _fail(f"internal error, please report it: {error!r} (set CMFL_TRACEBACK=1 to see where)", 2)
    if code == 130:
        # How newer versions of Typer pass on a KeyboardInterrupt.
        _fail("interrupted", 130)
    sys.exit(code)


@contextmanager
def _needs(extra: str, what: str) -> Iterator[None]:
    """Turns a failed import into the error that names the extra to install."""
    try:
        yield
    except ImportError as error:
        raise need(extra, f"{what} ({error.name})") from error


def _help_of(error: Any) -> str:
    return f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "cmfl --help"


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"cmfl: {' '.join(message.split())}", err=True)
    sys.exit(code)
