"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.options import ProviderName

# More would be refused by the system, or by the runtimes in words of their own.
_MOST_THREADS, _MOST_IN_BATCH = 1024, 65536

Threads = Annotated[
    int | None, typer.Option(max=_MOST_THREADS, help="CPU threads of the model; all cores by default.")
]
Provider = Annotated[
    ProviderName,
    typer.Option(
        help="Where the model runs: auto is the best that really loads, cpu the faster of onnxruntime and "
        "openvino."
    ),
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
BatchSize = Annotated[
    int | None, typer.Option(max=_MOST_IN_BATCH, help="Images a run; 8 on the CPU, 64 on a GPU.")
]
Workers = Annotated[int | None, typer.Option(max=_MOST_THREADS, help="Decoding threads.")]
Progress = Annotated[bool | None, typer.Option(help="Progress bar on standard error.")]
Recursive = Annotated[bool, typer.Option(help="Also look into the folders of folders.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Paths on standard input end with NUL.")]
Largest = Annotated[bool, typer.Option("--largest", help="Of each photograph only the largest face.")]
AlignLargest = Annotated[
    bool, typer.Option("--align", help="The images are photographs: find and align the largest face of each.")
]
MinFace = Annotated[int, typer.Option(help="Smallest face that is looked for, in pixels.")]
FaceScale = Annotated[float, typer.Option(help="Size of the face in the crop; 1 is ArcFace's framing.")]
