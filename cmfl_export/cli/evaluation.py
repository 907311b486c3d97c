"""Commands that measure: evaluate, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.options import DetectorOptions
from .options import (
    ANY_DATA_ROOT,
    PROTOCOL,
    AlignLargest,
    BatchSize,
    FaceScale,
    MinFace,
    Model,
    Progress,
    Provider,
    Threads,
    Workers,
)
from .output import say


def evaluate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write: scores, figures and report.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="Exported .onnx files, or names from cmfl zoo list, to compare."
        ),
    ] = None,
    protocol: Annotated[Path | None, PROTOCOL] = None,
    data_root: Annotated[str | None, ANY_DATA_ROOT] = None,
    split: Annotated[str, typer.Option(help="Split to measure on, in a protocol folder.")] = "eval",
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Score file to measure instead of a model; repeat for more. Rows of cmfl predict, or "
            "id,label,path,score."
        ),
    ] = None,
    degrade: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure on degraded images: jpeg:95,75 blur:1,2 resize:0.5 noise:2,5 webp:80; repeat "
            "for more."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="P(real) from which an image is real, without a band.", show_default="each model's own"
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and of the noise.")] = 0,
    align: AlignLargest = False,
    min_face: MinFace = DetectorOptions.minimum_face,
    face_scale: FaceScale = DetectorOptions.face_scale,
    provider: Provider = DetectorOptions.provider,
    batch_size: BatchSize = None,
    threads: Threads = None,
    workers: Workers = None,
    progress: Progress = None,
) -> None:
    """Measure models or score files on a protocol (ISO 30107-3).

    Writes scores.csv, metrics.json, report.html and the plots. Exit code 1 where an image has no score.
    """
    from ..evaluate import evaluate as run

    evaluation = run(
        models or [],
        out,
        protocol=protocol,
        data_root=data_root,
        split=split,
        scores=scores or [],
        degradations=degrade or [],
        samples=samples,
        seed=seed,
        progress=progress,
        options=DetectorOptions(
            threshold=threshold,
            align=align,
            minimum_face=min_face,
            face_scale=face_scale,
            provider=provider,
            batch_size=batch_size,
            threads=threads,
            workers=workers,
        ),
    )
    for line in evaluation.lines():
        say(line)
    if not evaluation.ok:
        raise typer.Exit(1)


def calibrate(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model file to write (.onnx).")],
    protocol: Annotated[Path, PROTOCOL],
    data_root: Annotated[str, ANY_DATA_ROOT],
    at: Annotated[
        str,
        typer.Option(
            help="Rule of the threshold: d-eer, apcer:0.05 or bpcer:0.01 (which needs no attacks); or "
            "band:apcer=0.05,bpcer=0.05 for two, with uncertain between them."
        ),
    ] = "d-eer",
    split: Annotated[str, typer.Option(help="Split to calibrate on, in a protocol folder.")] = "dev",
    domain_split: Annotated[
        str | None,
        typer.Option(
            help="Also describe the images of this split, on which the model was trained, so that predict "
            "tells what is unlike them."
        ),
    ] = None,
    min_resolution: Annotated[
        int | None,
        typer.Option(
            help="Also write into the card how many pixels of the image a face needs: a smaller one gets the "
            "status low_resolution. 0: none.",
            show_default="as it is",
        ),
    ] = None,
    align: AlignLargest = False,
    min_face: MinFace = DetectorOptions.minimum_face,
    face_scale: FaceScale = DetectorOptions.face_scale,
    provider: Provider = DetectorOptions.provider,
    batch_size: BatchSize = None,
    threads: Threads = None,
    workers: Workers = None,
) -> None:
    """Choose temperature and threshold, or a band, on a dev split.

    Writes a copy of the model whose card has both.
    """
    from ..evaluate import calibrate as run

    calibration = run(
        model,
        out,
        protocol=protocol,
        data_root=data_root,
        at=at,
        split=split,
        domain_split=domain_split,
        options=DetectorOptions(
            align=align,
            minimum_face=min_face,
            minimum_resolution=min_resolution,
            face_scale=face_scale,
            provider=provider,
            batch_size=batch_size,
            threads=threads,
            workers=workers,
        ),
    )
    for line in calibration.lines():
        say(line)
