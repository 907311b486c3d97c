"""Commands on the zoo: zoo list, show, pull, verify, add, describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import say

app = typer.Typer(help="Published models, and your own by name.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of cmfl zoo list.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder in the zoo's format.")]


@app.command("list")
def list_models() -> None:
    """List the models: packaged, your own, and those of the mirror."""
    from models_zoo.listing import table

    for line in table():
        say(line)


@app.command()
def show(name: Name) -> None:
    """Print what the manifest says of a model, and where its files are."""
    from models_zoo.listing import facts

    for line in facts(name):
        say(line)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAME, or NAME:VARIANT such as starter:int8.")],
    mirror: Annotated[
        str | None, typer.Option("--from", help="A folder or address like models_zoo/; CMFL_ZOO by default.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take a mirror's newer version of a model that is not packaged.")
    ] = False,
) -> None:
    """Get a model's weights; goes on where it was cut off, and needs no network for what is here."""
    from models_zoo.pull import pull as run

    for line in run(name, mirror=mirror, refresh=refresh).lines():
        say(line)


@app.command()
def verify(name: Name) -> None:
    """Hash a model's files and compare the card inside its weights; exit code 1 where they disagree."""
    from models_zoo.verify import verify as run

    report = run(name)
    for line in report.lines():
        say(line)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def add(
    folder: Folder,
    force: Annotated[
        bool, typer.Option("--force", help="Replace one of this name, or stand in for a packaged one.")
    ] = False,
) -> None:
    """Check a folder and copy it to your own models."""
    from models_zoo.add import add as run

    model = run(folder, force=force)
    say(f"{model.manifest.name} {model.manifest.version}: {model.folder}")


@app.command()
def describe(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With .onnx files and recipe.toml.")],
    version: Annotated[str | None, typer.Option(help="Such as 1.0.0.")] = None,
    description: Annotated[str | None, typer.Option(help="One line.")] = None,
    default: Annotated[str | None, typer.Option(help="The variant that the bare name stands for.")] = None,
    url: Annotated[str | None, typer.Option(help="https address of a folder with the .onnx files.")] = None,
    metrics: Annotated[
        list[Path] | None, typer.Option(help="metrics.json of cmfl evaluate; again for more.")
    ] = None,
) -> None:
    """Write a folder's manifest.toml and the facts of its card.md; again after every change."""
    from models_zoo.describe import describe as run

    manifest = run(
        folder, version=version, description=description, default=default, url=url, metrics=metrics or []
    )
    say(f"{manifest.name} {manifest.version}: {len(manifest.files)} files in {folder / 'manifest.toml'}")
