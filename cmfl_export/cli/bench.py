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
        float | None,
        typer.Option(help="Seconds per measurement.", show_default="1, with --train 4, with --serve 5"),
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
    serve: Annotated[
        bool, typer.Option("--serve", help="Measure cmfl serve instead, beside predict on the same files.")
    ] = False,
    clients: Annotated[
        str | None,
        typer.Option(
            help="With --serve: how many ask at once, separated by commas.", show_default="1,4,16,64"
        ),
    ] = None,
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
    training = {
        "protocol": str(protocol) if protocol else None,
        "data_root": str(data_root) if data_root else None,
        "batch_size": batch_size,
        "workers": workers,
    }
    if serve:
        if train or any(value is not None for value in (plot, batch_sizes, config, *training.values())):
            raise UsageError("--serve goes without --plot, --batch-sizes and the options of --train")
        from ..bench import bench_serving, serving_lines

        served = bench_serving(
            models or [],
            out,
            images=images,
            clients=(1, 4, 16, 64) if clients is None else _numbers(clients, "numbers of clients"),
            seconds=5.0 if seconds is None else seconds,
            rounds=rounds,
            threads=threads,
            providers=None if providers is None else _list(providers),
            compared=compare,
        )
        _print(serving_lines(served), ok=served.ok)
        return
    if clients is not None:
        raise UsageError("--clients goes with --serve")
    from ..bench import bench as run
    from ..bench import bench_training, lines

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
            batch_sizes=None if batch_sizes is None else _numbers(batch_sizes, "batch sizes"),
            seconds=1.0 if seconds is None else seconds,
            rounds=rounds,
            threads=threads,
            providers=None if providers is None else _list(providers),
            peers=peers,
            compared=compare,
        )
    _print(lines(report), ok=report.ok)


def _print(lines: list[str], *, ok: bool) -> None:
    for line in lines:
        say(line)
    if not ok:
        raise typer.Exit(1)


def _list(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _numbers(text: str, what: str) -> list[int]:
    try:
        return [int(item) for item in _list(text)]
    except ValueError as error:
        raise UsageError(f"{what} are numbers separated by commas, such as 1,8,64, not {text}") from error
