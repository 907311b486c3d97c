"""The command line: each command parses, calls one library function, and prints."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from ..base import interrupts
from ..base.errors import CmflError
from ..base.text import visible
from . import streams
from .align import align
from .bench import bench
from .cluster import gather, plan
from .evaluation import calibrate, evaluate
from .headings import HeadedCommand
from .inspect import inspect
from .model import doctor, export, show, verify
from .output import say
from .predict import explain, predict, recheck
from .protocol import app as protocol
from .serve import serve
from .training import demo, refit, simulate, train
from .web import web
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
    refit,
    export,
    predict,
    align,
    explain,
    inspect,
    recheck,
    serve,
    web,
    plan,
    gather,
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
# EX_SOFTWARE of sysexits.h: an error of the program, not of the user.
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
    """Runs the command `cmfl`; prints an error as one line and ends with its exit code."""
    streams.prepare()
    # Of Pillow: corrupt metadata, and its own limit on large pictures; a row's status says what matters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Visible("%(message)s"))
    logging.getLogger("cmfl").setLevel(logging.INFO)
    interrupts.install()
    status, message = _run()
    interrupted = interrupts.code()
    if interrupted is not None:
        # Libraries turn a KeyboardInterrupt into other exits and errors, so the signal itself decides.
        status, message = interrupted, interrupts.message()
    if message:
        say(f"cmfl: {' '.join(message.split())}", err=True)
    interrupts.leave(status)


def _run() -> tuple[int, str]:
    """Runs the app; returns the exit code, and the error message or ""."""
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
        # Typer's own errors, which are all of wrong usage, have no public base class.
        if hasattr(error, "format_message"):
            said = error.format_message().rstrip(".").replace("Value error, ", "")
            return 2, f"{said} (see: {_help_of(error)})"
        if os.environ.get("CMFL_TRACEBACK"):
            raise
        return INTERNAL, f"internal error, please report it: {error!r} (set CMFL_TRACEBACK=1 to see where)"
    # Newer versions of Typer return this code for a KeyboardInterrupt.
    return status or 0, "interrupted" if status == 130 else ""


def _arguments(given: list[str]) -> list[str]:
    """Returns the arguments; adds --help to none, and to a group without a command."""
    return [*given, "--help"] if not given or (len(given) == 1 and given[0] in _GROUPS) else given


class _Visible(logging.Formatter):
    """Formats log lines so that they cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


def _help_of(error: Any) -> str:
    return f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "cmfl --help"
