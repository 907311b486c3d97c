"""The command on what files say of themselves: inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Inputs, Null, Recursive, TrustAnchors, Workers
from .output import say


def inspect(
    inputs: Inputs,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write rows to this .csv or .jsonl file instead.")
    ] = None,
    trust_anchors: TrustAnchors = None,
    recursive: Recursive = True,
    null: Null = False,
    workers: Workers = None,
) -> None:
    """Show what image files say about their source.

    Content Credentials (C2PA), IPTC and XMP source types, texts of generators, EXIF, JPEG tables. No pixel is
    scored and no network is used. Whoever has the file can change most of it, and a file that says nothing
    is no sign of a real picture.
    """
    from ..provenance import InspectSummary, inspect_files, write_rows

    rows = inspect_files(
        inputs, trust_anchors=trust_anchors, recursive=recursive, null_separated=null, workers=workers
    )
    if output is not None:
        summary = write_rows(rows, output, inputs)
    else:
        summary = InspectSummary()
        for row in rows:
            summary.count(row)
            for line in row.lines():
                say(line)
    for line in summary.lines():
        say(line, err=True)
    if summary.failed:
        raise typer.Exit(1)
