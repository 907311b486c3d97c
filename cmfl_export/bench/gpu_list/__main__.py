"""`python -m cmfl_export.bench.gpu_list`: measures this machine's GPU, see `plan`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ...base import interrupts
from ...base.errors import CmflError
from .driver import FAILED, STOPPED
from .run import PAGE, run


def main(
    out: Annotated[Path, typer.Option(help="Folder for gpu.json, gpu.md and what they come from.")],
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="Where to run.", show_default="cuda with an NVIDIA driver, else cpu"),
    ] = None,
    tiny: Annotated[
        bool | None,
        typer.Option(help="Measure as little as possible.", show_default="on the CPU"),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time that all may take.")] = 9.0,
    models: Annotated[
        str, typer.Option(help="Exported files of one network, or a name of the zoo.")
    ] = "starter",
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the steps that are done in the folder.")
    ] = False,
) -> None:
    """Measure the project on an NVIDIA GPU.

    Exit code 1 where a step failed.
    """
    entries = run(out, device=device, tiny=tiny, minutes=minutes, models=models.split(","), resume=resume)
    print((out / PAGE).read_text(encoding="utf-8"))
    if any(entry["status"] in (FAILED, STOPPED) for entry in entries):
        raise typer.Exit(1)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("cmfl").setLevel(logging.INFO)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    # A signal to this process ends the step that runs, too.
    interrupts.install()
    status: int | str | None = 0
    try:
        app()
    except CmflError as failure:
        print(f"gpu list: {failure}", file=sys.stderr)
        status = 2
    except SystemExit as ending:
        status = ending.code
    if interrupts.code() is not None:
        print(f"gpu list: {interrupts.message()}; --resume goes on", file=sys.stderr)
    interrupts.leave(interrupts.code() or (status if isinstance(status, int) else 0))
