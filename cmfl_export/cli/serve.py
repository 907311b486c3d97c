"""The command that answers requests: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.options import DetectorOptions
from .options import Aligned, FaceScale, MinFace, MinResolution, Provider, Threads, Threshold, Workers
from .output import say

_LIMITS, _BATCHES = "Limits", "Batches"


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="An exported .onnx file, or a name from cmfl zoo list; else the starter.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of them.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that requests have to bring.",
            show_default="the variable CMFL_SERVE_TOKEN",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name by which requests may ask for the server; may be given several times.",
            show_default="loopback names; all if others reach it",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A web page of this origin may read the answers; may be given several times."),
    ] = None,
    max_body: Annotated[
        int, typer.Option(help="Largest body of a request, in MiB.", rich_help_panel=_LIMITS)
    ] = 64,
    max_held: Annotated[
        int, typer.Option(help="Bodies of all requests at one time, in MiB.", rich_help_panel=_LIMITS)
    ] = 1024,
    max_files: Annotated[int, typer.Option(help="Images in one request.", rich_help_panel=_LIMITS)] = 64,
    max_pixels: Annotated[
        int, typer.Option(help="Larger images get the status too_large.", rich_help_panel=_LIMITS)
    ] = DetectorOptions.max_pixels,
    max_queue: Annotated[
        int,
        typer.Option(help="Images that wait or run at one time; more are refused.", rich_help_panel=_LIMITS),
    ] = 256,
    deadline: Annotated[
        float, typer.Option(help="Seconds from a request to its answer.", rich_help_panel=_LIMITS)
    ] = 30.0,
    max_batch: Annotated[
        int | None,
        typer.Option(
            help="Images per batch.", show_default="8 on the CPU, 64 on a GPU", rich_help_panel=_BATCHES
        ),
    ] = None,
    max_wait_ms: Annotated[
        float,
        typer.Option(help="Milliseconds that an image waits for its batch.", rich_help_panel=_BATCHES),
    ] = 5.0,
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    workers: Workers = None,
    threshold: Threshold = None,
    aligned: Aligned = None,
    min_face: MinFace = DetectorOptions.minimum_face,
    min_resolution: MinResolution = None,
    face_scale: FaceScale = DetectorOptions.face_scale,
) -> None:
    """Score images over HTTP, and on a page at / for a browser.

    Ends at Ctrl-C or SIGTERM, after the requests that have begun are answered.
    """
    from ..serve import ServeOptions
    from ..serve import serve as run

    options = ServeOptions(
        host=host,
        port=port,
        token_file=token_file,
        allow_hosts=tuple(allow_host or ()),
        allow_origins=tuple(allow_origin or ()),
        max_body_mb=max_body,
        max_held_mb=max_held,
        max_files=max_files,
        max_queue=max_queue,
        deadline=deadline,
        max_wait_ms=max_wait_ms,
        detector=DetectorOptions(
            provider=provider,
            batch_size=max_batch,
            threads=threads,
            workers=workers,
            threshold=threshold,
            aligned=aligned,
            minimum_face=min_face,
            minimum_resolution=min_resolution,
            face_scale=face_scale,
            max_pixels=max_pixels,
        ),
    )
    run(model, options, lambda line: say(line, err=True))
