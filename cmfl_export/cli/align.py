"""The command on photographs: align."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..base.options import DetectorOptions
from .options import FaceScale, Inputs, Largest, MinFace, Null, Progress, Provider, Recursive
from .output import say


def align(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the crops and faces.csv.")],
    largest: Largest = False,
    format: Annotated[Literal["png", "jpg"], typer.Option(help="File type of the crops.")] = "png",
    quality: Annotated[int, typer.Option(help="JPEG quality, 95 to 100, without chroma subsampling.")] = 95,
    face_scale: FaceScale = DetectorOptions.face_scale,
    min_face: MinFace = DetectorOptions.minimum_face,
    recursive: Recursive = True,
    null: Null = False,
    provider: Provider = DetectorOptions.provider,
    workers: Annotated[int | None, typer.Option(max=1024, help="Threads.", show_default="all cores")] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Larger images get the status too_large.")
    ] = DetectorOptions.max_pixels,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted folder.")] = False,
    progress: Progress = None,
) -> None:
    """Find the faces in photographs and write aligned crops.

    Each crop is 224 x 224 pixels; faces.csv has one row per face.
    """
    from ..faces import align_to

    summary = align_to(
        inputs,
        out,
        largest=largest,
        format=format,
        quality=quality,
        face_scale=face_scale,
        minimum=min_face,
        recursive=recursive,
        null_separated=null,
        provider=provider,
        workers=workers,
        max_pixels=max_pixels,
        resume=resume,
        progress=progress,
    )
    for line in summary.lines():
        say(line)
    if summary.failed:
        raise typer.Exit(1)
