"""The command that makes a page which detects in the browser: web."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import say


def web(
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write, .html.")],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="An exported .onnx file, or a name from cmfl zoo list; else the starter.",
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the npm package onnxruntime-web.",
            show_default="CMFL_ONNXRUNTIME_WEB, node_modules, else npm fetches it",
        ),
    ] = None,
) -> None:
    """Write a page that scores images in the browser, in one file.

    The page needs no network: the model and its runtime are in it, and its security policy forbids every
    connection. With the extra faces installed, the page finds the faces in photographs.
    """
    from ..web import build_page

    for line in build_page(model, out, runtime).lines():
        say(line)
