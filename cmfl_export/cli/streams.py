"""Makes the standard streams safe to use, even if they are closed, full or without a reader."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

from ..base.errors import UsageError


def prepare() -> None:
    """Makes the three standard streams of a command safe to use.

    A closed stream is opened: otherwise the next file would get its number, and the prints of libraries.
    What standard error cannot write is dropped. What standard output cannot write raises UsageError, unless
    its reader has ended: then it is dropped. Streams that are not files of the system, as in a notebook or a
    test, stay as they are.
    """
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    for number in closed:
        # Standard output is opened for reading, so that writing to it fails as if it were closed.
        _occupy(number, os.O_WRONLY if number == 2 else os.O_RDONLY)
    if 0 in closed or sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    if 1 in closed or _is_standard(sys.stdout, 1):
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    if 2 in closed or _is_standard(sys.stderr, 2):
        sys.stderr = _text(_Errors(2, "w", closefd=False), sys.stderr)


class _Output(io.FileIO):
    """Standard output: raises the reason why it cannot be written, once."""

    _given_up = False

    def write(self, data: Any, /) -> int:
        if self._given_up:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self._given_up = True
            if isinstance(error, BrokenPipeError):
                return len(data)
            why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
            raise UsageError(f"cannot write to standard output: {why}") from error


class _Errors(io.FileIO):
    """Standard error: drops what it cannot write."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    # File names that are not UTF-8, and |Δp| in a code page without it, are written with escapes.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=raw.isatty() or raw.fileno() == 2
    )


def _is_standard(stream: Any, number: int) -> bool:
    """Whether this is the stream that Python opened, and nothing has replaced it."""
    return type(stream) is io.TextIOWrapper and stream is (sys.__stdout__, sys.__stderr__)[number - 1]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _occupy(number: int, how: int) -> None:
    descriptor = os.open(os.devnull, how)
    if descriptor != number:
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    else:
        os.set_inheritable(number, True)
