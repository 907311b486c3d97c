"""Commands on model files, and on what runs them: export, verify, show, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .options import (
    DATA_ROOT,
    INPUTS,
    Model,
    Provider,
    Spectra,
    Threads,
    Weights,
)
from .output import say

if TYPE_CHECKING:
    from ..export import Matrix, Report


def export(
    weights: Weights,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model file to write (.onnx), or with --layout a folder.")
    ],
    outputs: Annotated[
        str,
        typer.Option(help="More outputs of the graph, separated by commas: embedding, heatmap, spectrum."),
    ] = "",
    name: Annotated[
        str | None, typer.Option(help="Name in the model card.", show_default="that of the file")
    ] = None,
    spectra: Spectra = None,
    threshold: Annotated[float, typer.Option(help="P(real) from which an image is called real.")] = 0.5,
    data: Annotated[str, typer.Option(help="What the card says about the training data.")] = "",
    licence: Annotated[str, typer.Option(help="What the card says about the terms of use.")] = "not stated",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="Precision; fp16 and int8 can also be made from an exported fp32 .onnx."),
    ] = "fp32",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Images for fp16 and int8: a folder, or with --data-root a protocol."),
    ] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    max_flips: Annotated[
        float, typer.Option(help="Refuse fp16 or int8 if more decisions than this differ, in %.")
    ] = 1.0,
    max_d_eer_change: Annotated[
        float, typer.Option(help="Refuse fp16 or int8 if D-EER differs by more than this, in points.")
    ] = 0.3,
    layout: Annotated[
        Literal["file", "triton"],
        typer.Option(help="triton: a model repository of the Triton Inference Server."),
    ] = "file",
) -> None:
    """Export weights to one ONNX file, checked against PyTorch.

    The file appears whole and checked, or not at all.
    """
    from ..export import Limits, export_triton, summary
    from ..export import export as export_file

    run = export_triton if layout == "triton" else export_file
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


def verify(
    model: Model,
    weights: Annotated[
        Path | None,
        typer.Argument(
            metavar="WEIGHTS",
            help="A run folder, its best.safetensors, an exported fp32 .onnx, or an official .pth. Not "
            "needed with --everywhere.",
        ),
    ] = None,
    inputs: Annotated[list[str] | None, INPUTS] = None,
    everywhere: Annotated[
        bool,
        typer.Option(
            "--everywhere",
            help="Compare all runtimes that load here, and all files: MODEL... [WEIGHTS] INPUT... A name of "
            "the zoo stands for all its variants.",
        ),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference of any probability.",
            show_default="1e-4 for fp32, 0.01 for fp16, 0.05 for int8",
        ),
    ] = None,
    provider: Provider = DetectorOptions.provider,
    threads: Threads = None,
    spectra: Spectra = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the report as JSON.")] = None,
) -> None:
    """Prove that a model file computes what PyTorch computes.

    Exit code 1 where it does not.
    """
    from ..export import sort_arguments, verify_everywhere
    from ..export import verify as run

    given = [] if weights is None else [str(weights)]
    if everywhere:
        if tolerance is not None or provider != DetectorOptions.provider:
            raise UsageError("--everywhere has the tolerance of each precision and takes every provider")
        models, network, images = sort_arguments([model, *given, *(inputs or [])])
        report: Report | Matrix = verify_everywhere(
            models, images, weights=network, threads=threads, spectra=spectra, out=out
        )
    else:
        if weights is None or not inputs:
            raise UsageError("verify needs MODEL WEIGHTS INPUT...; without weights, take --everywhere")
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
    model: Model,
    json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON, as it is in the file.")
    ] = False,
) -> None:
    """Print the model card in a model file."""
    from ..zoo import card_of

    card = card_of(model)
    for line in [card.to_json(ascii=True)] if json else card.lines():
        say(line)


def doctor() -> None:
    """Say what is installed and which providers load.

    It also says what to do about a provider that does not load. Exit code 1 where there is a problem.
    """
    from .doctor_report import diagnose

    report = diagnose()
    for line in report.lines():
        say(line)
    if not report.ok:
        raise typer.Exit(1)
