"""Commands of the PyTorch side: train, refit, simulate, demo."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from training.config import DATA, HEADINGS, OUTPUT, Preset, TrainConfig

from ..base.errors import need
from .options import ANY_DATA_ROOT
from .output import say


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Puts an option for each field of `TrainConfig` in the place of the command's last parameter."""
    *own, _ = inspect.signature(command, eval_str=True).parameters.values()
    hints = get_type_hints(TrainConfig, include_extras=True)
    options = [_option(field.name, field.default, hints[field.name]) for field in fields(TrainConfig)]
    # Typer lists them in this order.
    ordered = sorted([*options, *own], key=_place)
    # What Typer reads; a function's type does not know the attribute.
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    return command


def _option(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    kind, setting = get_args(annotation)
    # As text, because an address is no path.
    metavar = "<path>" if setting.is_path else None
    info = typer.Option(help=setting.help, metavar=metavar, rich_help_panel=setting.heading)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if default == "" else default,
        annotation=Annotated[kind, info],
    )


def _place(parameter: inspect.Parameter) -> int:
    """Of the heading that an option stands under; first come those without one."""
    headings = [getattr(item, "rich_help_panel", None) for item in get_args(parameter.annotation)]
    return max((HEADINGS.index(heading) for heading in headings if heading in HEADINGS), default=-1)


@_with_settings
def train(
    context: typer.Context,
    *,
    preset: Annotated[
        Preset | None, typer.Option(help="Start from these values: paper is the official training script.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Start from the values in a TOML file, as config.toml of a run.")
    ] = None,
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing", help="Train without files that are missing or unreadable.", rich_help_panel=DATA
        ),
    ] = False,
    check_images: Annotated[
        bool,
        typer.Option(
            help="Decode every image before the first step; else only look for the files.",
            rich_help_panel=DATA,
        ),
    ] = True,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.", rich_help_panel=OUTPUT)],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on after the last whole epoch of the run.", rich_help_panel=OUTPUT),
    ] = False,
    **settings: Any,
) -> None:
    """Train a detector on a protocol.

    Writes a run folder: the best weights, a checkpoint to resume from, the configuration and the figures of
    each epoch. The defaults are the method of the paper.
    """
    with _needs("train", "training"):
        from training.fit import train_from
    run = train_from(
        out,
        preset=preset,
        file=config,
        overrides={
            name: str(value) if isinstance(value, Path) else value
            for name, value in settings.items()
            if _is_given(context, name)
        },
        resume=resume,
        skip_missing=skip_missing,
        check_images=check_images,
    )
    for line in run.lines():
        say(line)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether the user gave the option; else its value is that of the preset, of the file, or the default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def refit(
    weights: Annotated[
        Path, typer.Argument(help="A .safetensors file of cmfl train, or a run folder (its best).")
    ],
    protocol: Annotated[Path, typer.Option(help="Folder with train.csv and dev.csv.")],
    data_root: Annotated[str, ANY_DATA_ROOT],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")],
    leave_out: Annotated[
        str, typer.Option(help="Attacks of train not to fit to, as for cmfl train.", show_default=False)
    ] = "",
    c: Annotated[
        float | None,
        typer.Option("--c", help="C of the regression; smaller is more regularised.", show_default="chosen"),
    ] = None,
    branches: Annotated[
        bool, typer.Option("--branches", help="Also fit the heads of the two branches anew.")
    ] = False,
    resend: Annotated[
        int,
        typer.Option(help="Take each image this often besides, compressed or resized once more by chance."),
    ] = 0,
    workers: Annotated[int, typer.Option(help="Loader processes.")] = 2,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Go on without files that are missing or unreadable.")
    ] = False,
) -> None:
    """Fit the joint head of trained weights anew.

    A logistic regression on the embeddings of the protocol's train split takes the place of the head; the
    branches stay as they are. How strongly it is regularised is chosen by the attacks, each left out and each
    seen, unless --c gives it.
    """
    with _needs("train", "refitting"):
        from training.refit import refit as run
    found = run(
        weights,
        out,
        protocol=str(protocol),
        data_root=data_root,
        leave_out_attacks=leave_out,
        c=c,
        branches=branches,
        resend=resend,
        workers=workers,
        skip_missing=skip_missing,
    )
    for line in [*found.lines(), f"weights: {out}"]:
        say(line)


def simulate(
    real_dir: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    out_dir: Annotated[Path, typer.Argument(help="Folder to write; must be new or empty.")],
    seed: Annotated[int, typer.Option(help="Seed of the simulated generators.")] = 0,
    strength: Annotated[
        float, typer.Option(help="Strength of the traces; at 1 the eye sees no difference.")
    ] = 1.0,
    quality: Annotated[
        int | None,
        typer.Option(help="Write both classes as JPEG of this quality.", show_default="PNG"),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads.", show_default="all cores")] = None,
) -> None:
    """Make training data from photographs.

    Each photograph gets a synthetic twin: the same picture with the traces of generator up-sampling.
    """
    with _needs("train", "the simulator"):
        from training.simulate import simulate_folder
    summary = simulate_folder(
        real_dir, out_dir, seed=seed, strength=strength, quality=quality, workers=workers
    )
    for line in summary.lines():
        say(line)
    if summary.failed:
        raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; must be new or empty.")] = Path(
        "demo"
    ),
) -> None:
    """Train, export, verify and predict on data of its own.

    The data comes with the installation; nothing is downloaded.
    """
    with _needs("demo", "the demo"):
        from .demo_run import demo as run
    for line in run(out):
        say(line)


@contextmanager
def _needs(extra: str, what: str) -> Iterator[None]:
    """Turns a failed import into the error that names the extra to install."""
    try:
        yield
    except ImportError as error:
        raise need(extra, f"{what} ({error.name})") from error
