"""What commands print: lines that cannot steer a terminal, whatever names and cards are in them."""

from __future__ import annotations

import typer

from ..base.text import visible


def say(line: str, *, err: bool = False) -> None:
    """Prints one line; control and bidi characters in it, line ends too, are written out."""
    typer.echo(visible(line), err=err)
