"""Commands on an exported model: export, predict, explain, verify, show, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .options import (
    DATA_ROOT,
    BatchSize,
    FaceScale,
    Inputs,
    Largest,
    MinFace,
    Model,
    Null,
    Progress,
    Provider,
    Recursive,
    Spectra,
    Threads,
    Weights,
    Workers,
)
from .output import say


def export(
    weights: Weights,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    outputs: Annotated[
        str, typer.Option(help="Optional graph outputs, separated by commas: embedding, heatmap, spectrum.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="Name in the model card; the file's by default.")] = None,
    spectra: Spectra = None,
    threshold: Annotated[float, typer.Option(help="P(real) from which an image is called real.")] = 0.5,
    data: Annotated[str, typer.Option(help="The card's words on the training data.")] = "",
    licence: Annotated[str, typer.Option(help="The card's words on the terms of use.")] = "not stated",
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 or int8; the latter two also of an exported fp32 .onnx.")
    ] = "fp32",
    calibration: Annotated[
        Path | None,
        typer.Option(help="For fp16 and int8: a folder of images, or with --data-root a protocol."),
    ] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    max_flips: Annotated[
        float, typer.Option(help="Refuse fp16 or int8 when more decisions than this differ, in %.")
    ] = 1.0,
    max_d_eer_change: Annotated[
        float, typer.Option(help="Refuse fp16 or int8 when D-EER differs by more than this, in points.")
    ] = 0.3,
) -> None:
    """Export weights to one ONNX file, checked against PyTorch before it appears."""
    from ..export import Limits, summary
    from ..export import export as run

    card = run(
        weights,
        out,
        outputs=[output.strip() for output in outputs.split(",") if output.strip()],
        name=name,
        spectra=spectra,
        threshold=threshold,
        data=data,
        licence=licence,
        precision=precision,
        calibration=calibration,
        data_root=data_root,
        limits=Limits(max_flips / 100, max_d_eer_change / 100),
    )
    for line in summary(card, out):
        say(line)


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] INPUT...",
            help="MODEL if it ends in .onnx or is a name of cmfl zoo list, else the starter is used. Then "
            "image files, folders, globs; - reads paths from standard input.",
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="The model, whatever its file is called; then all else is input.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the rows; standard output by default.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="csv, jsonl, json or parquet; from the file's name by default, else csv."),
    ] = None,
    recursive: Recursive = True,
    null: Null = False,
    provider: Provider = DetectorOptions.provider,
    batch_size: BatchSize = None,
    threads: Threads = None,
    workers: Workers = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own.")] = None,
    aligned: Annotated[bool | None, typer.Option(help="Instead of the model's own geometry.")] = None,
    align: Annotated[
        bool, typer.Option("--align", help="The images are photographs: score every face in them.")
    ] = False,
    largest: Largest = False,
    min_face: MinFace = DetectorOptions.minimum_face,
    face_scale: FaceScale = DetectorOptions.face_scale,
    max_pixels: Annotated[
        int, typer.Option(help="Larger images get the status too_large.")
    ] = DetectorOptions.max_pixels,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an output that was cut off.")] = False,
    progress: Progress = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write a page to look through the images, one .html file.")
    ] = None,
    report_images: Annotated[
        int, typer.Option(help="Most images with pictures on that page; the others have text alone.")
    ] = 5000,
) -> None:
    """Score images; one row for each input, in order; with --align one for each face."""
    if largest and not align:
        raise UsageError("--largest is about the faces that --align finds; give both")
    from ..predict import predict_to
    from ..zoo import model_and_inputs

    model, inputs = model_and_inputs(arguments, model)
    summary = predict_to(
        model,
        inputs,
        out,
        format,
        recursive=recursive,
        null_separated=null,
        resume=resume,
        progress=progress,
        report=report,
        report_images=report_images,
        options=DetectorOptions(
            provider=provider,
            batch_size=batch_size,
            threads=threads,
            workers=workers,
            threshold=threshold,
            aligned=aligned,
            align="largest" if largest else "all" if align else None,
            minimum_face=min_face,
            face_scale=face_scale,
            max_pixels=max_pixels,
        ),
    )
    for line in summary.lines():
        say(line, err=True)
    if summary.failed:
        raise typer.Exit(1)


def explain(
    model: Model,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="One image file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The figure to write: .png, .svg or .pdf.")],
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own.")] = None,
    aligned: Annotated[bool | None, typer.Option(help="Instead of the model's own geometry.")] = None,
) -> None:
    """Draw what the model saw in one image: spectrum, heatmaps and scores in one figure."""
    from ..predict import explain as run

    options = DetectorOptions(provider=provider, threads=threads, threshold=threshold, aligned=aligned)
    explanation = run(model, image, out, options)
    for line in explanation.lines():
        say(line)


def verify(
    model: Model,
    weights: Weights,
    inputs: Inputs,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference of any probability; 1e-4 for fp32, 0.01 fp16, 0.05 int8."),
    ] = None,
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    spectra: Spectra = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the report as JSON.")] = None,
) -> None:
    """Prove that an exported file computes what PyTorch computes; exit code 1 where it does not."""
    from ..export import verify as run

    report = run(
        model,
        weights,
        inputs,
        tolerance=tolerance,
        provider=provider,
        threads=threads,
        spectra=spectra,
        out=out,
    )
    for line in report.lines():
        say(line)
    if not report.ok:
        raise typer.Exit(1)


def show(
    model: Model, json: Annotated[bool, typer.Option("--json", help="The card as it is in the file.")] = False
) -> None:
    """Print the model card inside an exported file."""
    from ..zoo import card_of

    card = card_of(model)
    for line in [card.to_json(ascii=True)] if json else card.lines():
        say(line)


def doctor() -> None:
    """Say what is installed, which providers really load, and what to do about those that do not."""
    from .doctor_report import diagnose

    report = diagnose()
    for line in report.lines():
        say(line)
    if not report.ok:
        raise typer.Exit(1)
