"""The command line: each command parses, calls one library function, and prints."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any, NoReturn

import typer

from ..errors import CmflError
from ..text import visible
from .align import align
from .bench import bench
from .evaluation import calibrate, evaluate
from .model import doctor, explain, export, predict, show, verify
from .output import say
from .protocol import app as protocol
from .training import demo, simulate, train
from .zoo import app as zoo

app = typer.Typer(
    name="cmfl",
    help="Detection of synthetic faces with Cross Modal Focal Loss: train, export to ONNX, predict, verify.",
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
    app.command()(command)
app.add_typer(protocol, name="protocol")
app.add_typer(zoo, name="zoo")


def main() -> None:
    """The command `cmfl`: runs the app, and turns errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Visible("%(message)s"))
    logging.getLogger("cmfl").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names that are not UTF-8, and |Δp| in a code page that lacks it, are shown with escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(_arguments(sys.argv[1:]), standalone_mode=False, prog_name="cmfl")
    except CmflError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except Exception as error:
        # Typer's own errors, all of wrong usage, share no class that it makes public.
        if hasattr(error, "format_message"):
            _fail(f"{error.format_message().rstrip('.')} (see: {_help_of(error)})", 2)
        if os.environ.get("CMFL_TRACEBACK"):
            raise
        _fail(f"internal error, please report it: {error!r} (set CMFL_TRACEBACK=1 to see where)", 2)
    if code == 130:
        # How newer versions of Typer pass on a KeyboardInterrupt.
        _fail("interrupted", 130)
    sys.exit(code)


def _arguments(given: list[str]) -> list[str]:
    """What was given; nothing, or a group of commands alone, asks for help."""
    groups = {group.name for group in app.registered_groups}
    return [*given, "--help"] if not given or (len(given) == 1 and given[0] in groups) else given


class _Visible(logging.Formatter):
    """Log lines that cannot steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


def _help_of(error: Any) -> str:
    return f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "cmfl --help"


def _fail(message: str, code: int) -> NoReturn:
    say(f"cmfl: {' '.join(message.split())}", err=True)
    sys.exit(code)
