"""Commands for jobs of many machines: plan and gather; predict on the shards of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..base.errors import UsageError
from .options import Column, Inputs, Null, Recursive
from .output import say

if TYPE_CHECKING:
    from ..base.options import DetectorOptions

HEADING = "Shards of a plan"
Manifest = Annotated[
    str | None,
    typer.Option(
        help="Score shards of a manifest of cmfl plan in place of INPUT...; -o is the folder of the parts.",
        rich_help_panel=HEADING,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="Which shards: 3, 0-9, 3,7-9, or I/N for worker I of N, from 0.",
        show_default="all",
        rich_help_panel=HEADING,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="<address>",
        help="Score on a Ray cluster: HOST:PORT, auto (RAY_ADDRESS, else the one here), local (starts one).",
        rich_help_panel=HEADING,
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        help="Workers on the Ray cluster, of --threads threads each (default 1) and a GPU if there are any.",
        show_default="as many as it has room for",
        rich_help_panel=HEADING,
    ),
]


def plan(
    inputs: Inputs,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="<path>", help="Manifest to write (.parquet): a file or an address."
        ),
    ],
    shards: Annotated[int | None, typer.Option(help="Number of shards.")] = None,
    shard_size: Annotated[
        int | None, typer.Option(help="In place of --shards: the most inputs in a shard.")
    ] = None,
    recursive: Recursive = True,
    null: Null = False,
    column: Column = None,
    whole_archives: Annotated[
        bool,
        typer.Option(
            "--whole-archives",
            help="Each archive is one input of the plan, which does not read it: for tars in a store.",
        ),
    ] = False,
) -> None:
    """Divide the inputs of a large job into shards.

    Then score the shards anywhere with predict --manifest, and gather the parts.
    """
    from ..cluster import plan as run

    made = run(
        inputs,
        out,
        shards=shards,
        shard_size=shard_size,
        recursive=recursive,
        null_separated=null,
        column=column,
        whole_archives=whole_archives,
    )
    for line in made.lines():
        say(line)


def gather(
    parts: Annotated[str, typer.Argument(metavar="DIR", help="The folder of the parts, or its address.")],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="<path>", help="File for the rows, or its address.")
    ],
    format: Annotated[
        Literal["csv", "jsonl", "json", "parquet"] | None,
        typer.Option(help="Format of the rows.", show_default="from the name of the file, else csv"),
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(help="Check that there is a row for each input of this manifest.")
    ] = None,
) -> None:
    """Make one file of the parts of all shards.

    It has the rows of predict, in their order. Parts that are missing are named. Parts of another model,
    manifest or other options are refused. Exit code 1 where inputs have no score, as of predict.
    """
    from ..cluster import gather as run

    gathered = run(parts, out, format, manifest=manifest)
    for line in gathered.lines():
        say(line, err=True)
    if gathered.rows.failed:
        raise typer.Exit(1)


def predict_shards(
    arguments: list[str],
    model: str | None,
    manifest: str,
    out: str | None,
    shard: str | None,
    ray: str | None,
    ray_workers: int | None,
    progress: bool | None,
    options: DetectorOptions,
    *,
    provenance: bool = False,
    trust_anchors: Path | None = None,
) -> None:
    """Runs `cmfl predict MODEL --manifest ...`; exit code 1 where a shard has no part.

    Raises:
        CmflError: as the functions of `cluster`; or the arguments do not fit.
    """
    from ..cluster import predict_on_ray, predict_shards

    named = [*([] if model is None else [model]), *arguments]
    if len(named) != 1:
        raise UsageError("with --manifest there is one argument, the model: its inputs are in the manifest")
    if out is None:
        raise UsageError("with --manifest, give the folder for the parts with -o")
    if ray is None:
        summary = predict_shards(
            named[0],
            manifest,
            out,
            shard,
            progress=progress,
            provenance=provenance,
            trust_anchors=trust_anchors,
            options=options,
        )
    else:
        summary = predict_on_ray(
            named[0],
            manifest,
            out,
            shard,
            address=ray,
            ray_workers=ray_workers,
            progress=progress,
            provenance=provenance,
            trust_anchors=trust_anchors,
            options=options,
        )
    for line in summary.lines():
        say(line, err=True)
    if summary.failed:
        raise typer.Exit(1)
