"""Commands that score images: predict, recheck, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .cluster import Manifest, Ray, RayWorkers, Shard, predict_shards
from .options import (
    Aligned,
    AlignFaces,
    BatchSize,
    Column,
    FaceScale,
    MinFace,
    MinResolution,
    Model,
    Null,
    Progress,
    Provider,
    Recursive,
    Stability,
    Threads,
    Threshold,
    TrustAnchors,
    Workers,
)
from .output import say


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] INPUT...",
            help="A model: an .onnx file, or a name from cmfl zoo list; else the starter. Then image or "
            "video files, folders or globs; archives (.tar, .zip, .parquet), lists (.txt) or addresses "
            "(s3://, https://); - reads paths from standard input.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="The model, whatever the name of its file; all arguments are then inputs."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="<path>",
            help="File for the rows, an address in an object store, or - for standard output.",
            show_default="standard output",
        ),
    ] = None,
    format: Annotated[
        Literal["csv", "jsonl", "json", "parquet"] | None,
        typer.Option(help="Format of the rows.", show_default="from the name of the file, else csv"),
    ] = None,
    recursive: Recursive = True,
    null: Null = False,
    column: Column = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="<interval>",
            help="Score frames of videos at this interval, such as 1s or 500ms, also of those in folders.",
            show_default="1s, of videos that are named",
        ),
    ] = None,
    provider: Provider = DetectorOptions.provider,
    batch_size: BatchSize = None,
    threads: Threads = None,
    workers: Workers = None,
    threshold: Threshold = None,
    aligned: Aligned = None,
    align: AlignFaces = "auto",
    min_face: MinFace = DetectorOptions.minimum_face,
    min_resolution: MinResolution = None,
    face_scale: FaceScale = DetectorOptions.face_scale,
    max_pixels: Annotated[
        int, typer.Option(help="Larger images get the status too_large.")
    ] = DetectorOptions.max_pixels,
    stability: Stability = DetectorOptions.stability,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Rows also have what the files say of themselves; see inspect."),
    ] = False,
    trust_anchors: TrustAnchors = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted output.")] = False,
    progress: Progress = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write one .html file to look through the images.")
    ] = None,
    report_images: Annotated[
        int, typer.Option(help="Number of pictures on that page; the other images have only text.")
    ] = 5000,
    case: Annotated[
        Path | None,
        typer.Option(help="Also write one .zip file to keep: rows, digests of the images, card, report."),
    ] = None,
    manifest: Manifest = None,
    shard: Shard = None,
    ray: Ray = None,
    ray_workers: RayWorkers = None,
) -> None:
    """Score images: one row per image, or per face with --align all.

    The rows are in the order of the inputs. An image that cannot be scored has a row with a status. A video
    has rows for its frames and then one for itself.
    """
    if trust_anchors and not provenance:
        raise UsageError("--trust-anchors is about what --provenance reads; give both")
    options = DetectorOptions(
        provider=provider,
        batch_size=batch_size,
        threads=threads,
        workers=workers,
        threshold=threshold,
        aligned=aligned,
        align=None if align == "none" else align,
        minimum_face=min_face,
        minimum_resolution=min_resolution,
        face_scale=face_scale,
        max_pixels=max_pixels,
        stability=stability,
    )
    if manifest is not None:
        if format or resume or report or column or every or case:
            raise UsageError(
                "--manifest goes without --format, --column, --every, --resume, --report and --case"
            )
        predict_shards(
            arguments,
            model,
            manifest,
            out,
            shard,
            ray,
            ray_workers,
            progress,
            options,
            provenance=provenance,
            trust_anchors=trust_anchors,
        )
        return
    if shard or ray or ray_workers:
        raise UsageError("--shard and --ray are about the shards of a plan; give its file with --manifest")
    from ..predict import interval_of, predict_to
    from ..zoo import model_and_inputs

    model, inputs = model_and_inputs(arguments, model)
    summary = predict_to(
        model,
        inputs,
        out,
        format,
        recursive=recursive,
        null_separated=null,
        column=column,
        every=None if every is None else interval_of(every),
        resume=resume,
        progress=progress,
        report=report,
        report_images=report_images,
        case=case,
        provenance=provenance,
        trust_anchors=trust_anchors,
        options=options,
    )
    for line in summary.lines():
        say(line, err=True)
    if summary.failed:
        raise typer.Exit(1)


def recheck(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A .zip file of cmfl predict --case.")],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="The model of the case: its file, or a name from cmfl zoo list.",
            show_default="the name in the case",
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="Folder with the images.", show_default="their paths in the case"),
    ] = None,
    digest: Annotated[
        str, typer.Option(help="The last line that predict printed, to compare with.", show_default=False)
    ] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference of a score.", show_default="by the model's precision"),
    ] = None,
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    progress: Progress = None,
) -> None:
    """Check a case: the same images, and the same scores here.

    Nothing in the case may have changed. The exit code is 1 if an image has other bytes, is missing, or has
    another score or decision.
    """
    from ..predict import recheck as run

    summary = run(
        case,
        model,
        inputs=inputs,
        digest=digest,
        tolerance=tolerance,
        provider=provider,
        threads=threads,
        progress=progress,
    )
    for line in summary.lines():
        say(line)
    if not summary.ok:
        raise typer.Exit(1)


def explain(
    model: Model,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="One image file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Figure to write: .png, .svg or .pdf.")],
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    threshold: Threshold = None,
    aligned: Aligned = None,
    align: AlignFaces = "auto",
    stability: Stability = DetectorOptions.stability,
) -> None:
    """Draw what the model saw in one image.

    The figure has the image, its spectrum, the heatmaps of both branches and the scores.
    """
    from ..predict import explain as run

    options = DetectorOptions(
        provider=provider,
        threads=threads,
        threshold=threshold,
        aligned=aligned,
        align=None if align == "none" else align,
        stability=stability,
    )
    explanation = run(model, image, out, options)
    for line in explanation.lines():
        say(line)
