"""Commands on the zoo: zoo list, show, pull, verify, add, describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import say

app = typer.Typer(help="List, pull and check published models, and your own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from cmfl zoo list.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder in the zoo's format.")]


@app.command("list")
def list_models() -> None:
    """List the models: packaged, your own, and those of the mirror."""
    from models_zoo.listing import table

    for line in table():
        say(line)


@app.command()
def show(name: Name) -> None:
    """Print the manifest of a model, and where its files are."""
    from models_zoo.listing import facts

    for line in facts(name):
        say(line)


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="NAME, or NAME:VARIANT such as starter:int8; or hf://owner/name@revision, or "
            "hf://owner/name@revision/file.onnx, in a hub.",
        ),
    ],
    mirror: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Mirror: a folder or an address laid out like models_zoo/.",
            show_default="CMFL_ZOO",
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Take the newer version of a mirror, for a model that is not packaged; of a hub, ask "
            "whether the revision has moved.",
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Hub of an hf:// address: Hugging Face, or a mirror that answers in the same way.",
            show_default="HF_ENDPOINT, else https://huggingface.co",
        ),
    ] = None,
) -> None:
    """Download the weights of a model.

    It goes on where it was cut off, and needs no network for files that are already here. HF_TOKEN opens
    private repositories of a hub; only the hub itself gets it.
    """
    from models_zoo.pull import pull as run

    for line in run(name, mirror=mirror, endpoint=endpoint, refresh=refresh).lines():
        say(line)


@app.command()
def verify(name: Name) -> None:
    """Check the files of a model against its manifest.

    It hashes the files and compares the cards in the weights. Exit code 1 where they disagree.
    """
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
        bool, typer.Option("--force", help="Replace a model of this name, also a packaged one.")
    ] = False,
) -> None:
    """Check a folder and copy it to your own models."""
    from models_zoo.add import add as run

    model = run(folder, force=force)
    say(f"{model.manifest.name} {model.manifest.version}: {model.folder}")


@app.command()
def describe(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder with .onnx files and recipe.toml.")
    ],
    version: Annotated[str | None, typer.Option(help="Version, such as 1.0.0.")] = None,
    description: Annotated[str | None, typer.Option(help="Description in one line.")] = None,
    default: Annotated[str | None, typer.Option(help="Variant that the name alone stands for.")] = None,
    url: Annotated[str | None, typer.Option(help="Address (https) of a folder with the .onnx files.")] = None,
    metrics: Annotated[
        list[Path] | None, typer.Option(help="metrics.json of cmfl evaluate; repeat for more.")
    ] = None,
    parity: Annotated[Path | None, typer.Option(help="JSON of cmfl verify --everywhere.")] = None,
    hub: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>", help="Also make this folder: a repository for a hub, ready to be uploaded."
        ),
    ] = None,
) -> None:
    """Write manifest.toml and the facts in card.md of a folder.

    Run it again after every change.
    """
    from models_zoo.describe import describe as run
    from models_zoo.hub_folder import lay_out

    manifest = run(
        folder,
        version=version,
        description=description,
        default=default,
        url=url,
        metrics=metrics or [],
        parity=parity,
    )
    say(f"{manifest.name} {manifest.version}: {len(manifest.files)} files in {folder / 'manifest.toml'}")
    if hub is not None:
        say(f"{len(lay_out(folder, hub))} files for a hub in {hub}")
