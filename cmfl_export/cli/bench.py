"""The command that measures speed: bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.errors import UsageError
from .options import DATA_ROOT, Threads
from .output import say


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Exported .onnx files of one network, such as its fp32 and its int8; or a name from "
            "cmfl zoo list, which stands for all its variants.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images to measure with.", show_default="drawn images")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write every figure to this JSON file.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures: .png, .svg or .pdf.")] = None,
    batch_sizes: Annotated[
        str | None,
        typer.Option(
            help="Batch sizes of the network alone, separated by commas.", show_default="1,8; on a GPU 1,8,64"
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds per measurement.", show_default="1, and 4 with --train")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each measurement is taken.")] = 3,
    threads: Threads = None,
    providers: Annotated[
        str | None,
        typer.Option(help="Backends, separated by commas.", show_default="all that load, but tensorrt"),
    ] = None,
    peers: Annotated[
        bool, typer.Option(help="Also measure PyTorch, and a loop like that of the official script.")
    ] = True,
    compare: Annotated[int, typer.Option(help="Number of images whose scores are compared.")] = 64,
    train: Annotated[
        bool, typer.Option("--train", help="Measure training instead, on a protocol or drawn images.")
    ] = False,
    protocol: Annotated[Path | None, typer.Option(help="With --train: folder with train.csv.")] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    config: Annotated[Path | None, typer.Option(help="With --train: TOML file of the training.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="With --train: images per step.")] = None,
    workers: Annotated[int | None, typer.Option(help="With --train: loader processes.")] = None,
) -> None:
    """Measure the speed of models on this machine.

    Backends and precisions stand beside PyTorch and the limit of the machine. It takes minutes.
    """
    from ..bench import bench as run
    from ..bench import bench_training, lines

    training = {
        "protocol": str(protocol) if protocol else None,
        "data_root": str(data_root) if data_root else None,
        "batch_size": batch_size,
        "workers": workers,
    }
    if train:
        if models:
            raise UsageError(
                "--train measures the training of a network, not exported models; give one of both"
            )
        report = bench_training(
            out,
            picture=plot,
            file=config,
            overrides=training,
            seconds=4.0 if seconds is None else seconds,
            rounds=rounds,
            threads=threads,
        )
    else:
        if config or any(value is not None for value in training.values()):
            raise UsageError("--protocol, --data-root, --config, --batch-size and --workers go with --train")
        report = run(
            models or [],
            out,
            picture=plot,
            images=images,
            batch_sizes=None if batch_sizes is None else _sizes(batch_sizes),
            seconds=1.0 if seconds is None else seconds,
            rounds=rounds,
            threads=threads,
            providers=None if providers is None else _list(providers),
            peers=peers,
            compared=compare,
        )
    for line in lines(report):
        say(line)
    if not report.ok:
        raise typer.Exit(1)


def _list(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _sizes(text: str) -> list[int]:
    try:
        return [int(item) for item in _list(text)]
    except ValueError as error:
        raise UsageError(
            f"batch sizes are numbers separated by commas, such as 1,8,64, not {text}"
        ) from error
