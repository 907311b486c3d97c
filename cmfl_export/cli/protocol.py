"""Commands on protocols: protocol build, protocol check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base.errors import UsageError
from .options import DATA_ROOT, Progress, Workers
from .output import say

app = typer.Typer(help="Build and check protocols: who is in train, dev and eval.", no_args_is_help=True)


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the protocol to write.")],
    data_root: Annotated[Path, DATA_ROOT],
    real: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Folder of real images; repeat for more.")
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="An attack and a folder of its images; repeat for more."),
    ] = None,
    definition: Annotated[
        str | None,
        typer.Option(
            help="A protocol of the paper instead (stylegan2, stylegan3, swagan), or one of a TOML file."
        ),
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An attack that only eval has; repeat for more."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Its group is the subject in a file name.", show_default="each file is one"
        ),
    ] = None,
    subject_table: Annotated[
        Path | None, typer.Option(help="Subjects from a CSV instead, with the columns filename,subject.")
    ] = None,
    shares: Annotated[str, typer.Option(help="Shares of train, dev and eval.")] = "0.7,0.15,0.15",
    balance: Annotated[
        bool, typer.Option(help="Cut both classes of a split to the size of the smaller.")
    ] = True,
    salt: Annotated[str | None, typer.Option(help="Another salt gives another split.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Build a definition also where files are missing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the protocol in that folder.")] = False,
) -> None:
    """Make train.csv, dev.csv and eval.csv from folders of images.

    No subject is in two of them. With --definition the splits are those of the paper.
    """
    if definition is not None:
        if real or attack:
            raise UsageError("give either --definition or the folders with --real and --attack")
        from protocols.from_definition import build_definition

        built = build_definition(definition, data_root, out, allow_missing=allow_missing, force=force)
    else:
        from protocols.attacks import attack_option
        from protocols.build import build as run
        from protocols.splitting import SALT

        built = run(
            data_root,
            out,
            real=real or [],
            attacks=[attack_option(text) for text in attack or []],
            subject=subject,
            subject_table=subject_table,
            shares=_shares(shares),
            hold_out=hold_out or [],
            balance=balance,
            salt=SALT if salt is None else salt,
            force=force,
        )
    for line in built.lines():
        say(line)
    if not built.ok:
        raise typer.Exit(1)


@app.command()
def check(
    protocol: Annotated[Path, typer.Argument(metavar="PROTOCOL", help="A protocol folder, or one CSV file.")],
    data_root: Annotated[Path, DATA_ROOT],
    shortcuts: Annotated[bool, typer.Option(help="Look for what else tells the classes apart.")] = True,
    strict: Annotated[bool, typer.Option(help="Also fail where something is only suspicious.")] = True,
    limit: Annotated[
        int | None, typer.Option(help="Most images per class and attack type to look at for shortcuts.")
    ] = None,
    aligned: Annotated[bool, typer.Option(help="The images are aligned face crops.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the sample for shortcuts.")] = 0,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the report as JSON.")] = None,
    progress: Progress = None,
) -> None:
    """Look for leaks, broken files and shortcuts.

    Exit code 1 where there are any.
    """
    from protocols.check import LIMIT
    from protocols.check import check as run

    report = run(
        protocol,
        data_root,
        shortcuts=shortcuts,
        strict=strict,
        limit=LIMIT if limit is None else limit,
        aligned=aligned,
        seed=seed,
        workers=workers,
        out=out,
        progress=progress,
    )
    for line in report.lines():
        say(line)
    if not report.ok:
        raise typer.Exit(1)


def _shares(text: str) -> list[float]:
    try:
        return [float(share) for share in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--shares takes three numbers, such as 0.7,0.15,0.15, not {text!r}") from error
