"""The command line: each command parses, calls one library function, and prints."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Any

import typer

from ..base import interrupts
from ..base.errors import CmflError
from ..base.text import visible
from . import streams
from .align import align
from .bench import bench
from .evaluation import calibrate, evaluate
from .headings import HeadedCommand
from .model import doctor, explain, export, predict, show, verify
from .output import say
from .protocol import app as protocol
from .training import demo, simulate, train
from .zoo import app as zoo

app = typer.Typer(
    name="cmfl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# In the order of the help.
for command in (
    train,
    export,
    predict,
    align,
    explain,
    evaluate,
    calibrate,
    verify,
    bench,
    show,
    simulate,
    demo,
    doctor,
):
    app.command(cls=HeadedCommand)(command)
app.add_typer(protocol, name="protocol")
app.add_typer(zoo, name="zoo")

_GROUPS = {group.name for group in app.registered_groups}
# EX_SOFTWARE of sysexits.h: no mistake of the user.
INTERNAL = 70


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        say(f"cmfl-export {__version__}")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Detection of synthetic faces with Cross Modal Focal Loss: train, export to ONNX, predict, verify."""


def main() -> None:
    """The command `cmfl`: runs the app, and turns errors into one line and an exit code."""
    streams.prepare()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Visible("%(message)s"))
    logging.getLogger("cmfl").setLevel(logging.INFO)
    interrupts.install()
    status, message = _run()
    interrupted = interrupts.code()
    if interrupted is not None:
        # Whatever became of it: libraries turn a KeyboardInterrupt into exits and errors of their own.
        status, message = interrupted, interrupts.message()
    if message:
        say(f"cmfl: {' '.join(message.split())}", err=True)
    interrupts.leave(status)


def _run() -> tuple[int, str]:
    """The exit code, and the error where there is one."""
    try:
        status = app(_arguments(sys.argv[1:]), standalone_mode=False, prog_name="cmfl")
        sys.stdout.flush()
    except CmflError as error:
        return 2, str(error)
    except (KeyboardInterrupt, typer.Abort):
        return 130, "interrupted"
    except SystemExit as error:
        return (error.code, "") if isinstance(error.code, int) else (int(error.code is not None), "")
    except Exception as error:
        # Typer's own errors, all of wrong usage, share no class that it makes public.
        if hasattr(error, "format_message"):
            said = error.format_message().rstrip(".").replace("Value error, ", "")
            return 2, f"{said} (see: {_help_of(error)})"
        if os.environ.get("CMFL_TRACEBACK"):
            raise
        return INTERNAL, f"internal error, please report it: {error!r} (set CMFL_TRACEBACK=1 to see where)"
    # Newer versions of Typer pass on a KeyboardInterrupt as this code.
    return status or 0, "interrupted" if status == 130 else ""


def _arguments(given: list[str]) -> list[str]:
    """What was given; nothing, or a group of commands alone, asks for help."""
    return [*given, "--help"] if not given or (len(given) == 1 and given[0] in _GROUPS) else given


class _Visible(logging.Formatter):
    """Log lines that cannot steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


def _help_of(error: Any) -> str:
    return f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "cmfl --help"
