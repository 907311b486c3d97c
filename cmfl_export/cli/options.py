"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..base.options import ProviderName

# More would be refused by the system, or by the runtimes in words of their own.
_MOST_THREADS, _MOST_IN_BATCH = 1024, 65536

Threads = Annotated[
    int | None, typer.Option(max=_MOST_THREADS, help="CPU threads of the model.", show_default="all cores")
]
Provider = Annotated[
    ProviderName,
    typer.Option(
        help="Where the model runs: auto is the best that really loads, cpu the faster of onnxruntime and "
        "openvino."
    ),
]
Spectra = Annotated[
    Literal["rgb", "fft"] | None,
    typer.Option(help="Spectra of an official one_stream checkpoint, which its file does not say."),
]
Weights = Annotated[
    Path,
    typer.Argument(
        metavar="WEIGHTS",
        help="A run folder, its best.safetensors, an exported fp32 .onnx, or an official .pth.",
    ),
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="An exported .onnx file, or a name from cmfl zoo list.")
]
INPUTS = typer.Argument(
    metavar="INPUT...",
    help="Image files, folders or globs; archives, lists and addresses as for predict; - reads paths from "
    "standard input.",
)
Inputs = Annotated[list[str], INPUTS]

PROTOCOL = typer.Option(help="Protocol: a CSV file, or a folder of them.")
DATA_ROOT = typer.Option(help="Folder that the file names of the protocol start from.")
ANY_DATA_ROOT = typer.Option(
    metavar="<path>",
    help="What the file names of the protocol start from: a folder, an archive (.tar, .zip), a folder of "
    ".tar shards, or an address in a store.",
)
BatchSize = Annotated[
    int | None,
    typer.Option(max=_MOST_IN_BATCH, help="Images per batch.", show_default="8 on the CPU, 64 on a GPU"),
]
Workers = Annotated[
    int | None, typer.Option(max=_MOST_THREADS, help="Threads that decode.", show_default="all cores")
]
Progress = Annotated[
    bool | None, typer.Option(help="Show a progress bar on standard error.", show_default="on a terminal")
]
Column = Annotated[
    str | None,
    typer.Option(help="Column of Parquet files with the images.", show_default="image, or bytes"),
]
Recursive = Annotated[bool, typer.Option(help="Also search folders inside folders.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Paths on standard input end with a NUL byte.")]
Largest = Annotated[bool, typer.Option("--largest", help="Take only the largest face of each photograph.")]
AlignLargest = Annotated[
    bool, typer.Option("--align", help="The images are photographs: find and align the largest face in each.")
]
AlignChoice = Literal["auto", "all", "largest", "none"]
AlignFaces = Annotated[
    AlignChoice,
    typer.Option(
        help="Which faces are found and aligned first. auto: none in aligned crops, else the largest (needs "
        "cmfl-export[faces])."
    ),
]
MinResolution = Annotated[
    int | None,
    typer.Option(
        help="A smaller face, in pixels of the image, gets the status low_resolution; 0: none.",
        show_default="the model's own, else 60",
    ),
]
MinFace = Annotated[int, typer.Option(help="Side of the smallest face to find, in pixels.")]
FaceScale = Annotated[
    float, typer.Option(help="Size of the face in the crop, 0.2 to 2; 1 is the framing of ArcFace.")
]
Threshold = Annotated[
    float | None,
    typer.Option(help="P(real) from which an image is real, without a band.", show_default="the model's own"),
]
TrustAnchors = Annotated[
    Path | None,
    typer.Option(help="Certificates in PEM that vouch for signers of Content Credentials."),
]
Stability = Annotated[
    bool,
    typer.Option(
        "--stability",
        help="Also score each image after eight small changes (JPEG, WebP, resizing): rows say how far the "
        "score moves, and the decision is uncertain where it changes. Takes nine times as long.",
    ),
]
Aligned = Annotated[
    bool | None,
    typer.Option(help="The images are aligned face crops.", show_default="as the model was trained"),
]
