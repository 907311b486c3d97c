"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="An exported .onnx file, or a name of cmfl zoo list.")
]
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...", help="Image files, folders, globs; - reads paths from standard input."
    ),
]

PROTOCOL = typer.Option(help="A protocol CSV, or a folder of them.")
DATA_ROOT = typer.Option(help="What the protocol's file names are relative to.")
BatchSize = Annotated[int | None, typer.Option(help="Images a run; 8 on the CPU, 64 on a GPU.")]
Workers = Annotated[int | None, typer.Option(help="Decoding threads.")]
Progress = Annotated[bool | None, typer.Option(help="Progress bar on standard error.")]
