"""Signal handling for commands: a command ends within seconds and leaves no unfinished files.

The first signal raises KeyboardInterrupt in the main thread, as Python does for Ctrl-C, so that outputs are
closed and a report of the rows so far is written. If the command does not end then, because a decoder, a
model or a library is busy or swallows the exception, a watching thread ends the process. A server is asked to
end instead (`asking`).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from .files import remove_unfinished

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
# Seconds from the first signal until the watching thread ends the process.
_GRACE = 1.4
# The same inside `lasting`, where a report is written; a second signal does not wait for it.
_LASTING_GRACE = 60.0
# Some senders (timeout, terminals, service managers) send a signal twice or two signals at once.
_SECOND_AFTER = 0.3
# Seconds for the threads of an idle pool to end by themselves.
_FAREWELL = 0.2
_SHOW_CURSOR = b"\x1b[?25h\n"


class _State:
    """The state of this process's signal handling."""

    first: int | None = None
    since = 0.0
    raised = False
    leaving = False
    lasting = 0
    sender: socket.socket | None = None
    ask: Callable[[], None] | None = None


_state = _State()
# One mask per thread, because several threads may fork at the same time.
_held = threading.local()


def install() -> None:
    """Installs the signal handlers of a command, except for signals that its parent told it to ignore.

    Does nothing the second time.
    """
    if _state.sender is not None:
        return
    taken = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    receiver, sender = socket.socketpair()
    for end in (receiver, sender):
        end.setblocking(False)
    # Kept, because Python closes a socket that nothing refers to.
    _state.sender = sender
    for number in taken:
        signal.signal(number, _on_signal)
    # Python's C handler writes to it even while the main thread is busy in a library.
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)
    watch = threading.Thread(target=_watch, args=(receiver, taken), daemon=True, name="signals")
    watch.start()


def code() -> int | None:
    """The exit code after a signal, as shells count it (128 + number); None if there was no signal."""
    return None if _state.first is None else 128 + _state.first


def message() -> str:
    """The message about the signal, such as "interrupted by SIGTERM"."""
    by = "" if _state.first in (None, signal.SIGINT) else f" by {signal.Signals(_state.first or 0).name}"
    return f"interrupted{by}"


@contextmanager
def lasting() -> Iterator[None]:
    """Gives an interrupted process up to a minute to finish the block, for instance to write a report."""
    _state.lasting += 1
    try:
        yield
    finally:
        _state.lasting -= 1


@contextmanager
def asking(end: Callable[[], None]) -> Iterator[None]:
    """Makes the first signal call `end` during the block, for what ends by itself when it is asked to.

    That signal is no interruption: the exit code is the command's own. A second one ends the process.

    Args:
        end: called in the main thread, perhaps twice; must return at once.
    """
    _state.ask = end
    try:
        yield
    finally:
        _state.ask = None


def leave(status: int) -> NoReturn:
    """Ends the process as a command's last step, without waiting for busy threads."""
    _state.leaving = True
    if code() is None and not _busy():
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    # A normal exit would join the pool threads, or end them inside libraries that then abort the process.
    _end(status)


def _busy() -> bool:
    """Whether threads of this package still work."""
    until = time.monotonic() + _FAREWELL
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("cmfl-")]
    for thread in ours:
        thread.join(max(0.0, until - time.monotonic()))
    return any(thread.is_alive() for thread in ours)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    _note(number)
    if _state.leaving:
        _end(128 + number)
    if not _state.raised:
        _state.raised = True
        if _state.ask is None:
            raise KeyboardInterrupt
        _state.ask()
    elif _is_late():
        _insist(number)


def _note(number: int) -> None:
    _state.since = _state.since or time.monotonic()
    if _state.first is None and _state.ask is None:
        _state.first = number


def _is_late() -> bool:
    """Whether a signal that comes now is a second one."""
    return bool(_state.since) and time.monotonic() - _state.since > _SECOND_AFTER


def _insist(number: int) -> NoReturn:
    _state.ask = None
    _note(number)
    _end_at_once()


def _watch(receiver: socket.socket, taken: list[int]) -> None:
    """Waits for signals beside the command and ends the process when its time is over."""
    while True:
        select.select([receiver], [], [], _wait())
        with suppress(BlockingIOError):
            for number in receiver.recv(64):
                if number in taken:
                    if _is_late():
                        _insist(number)
                    _note(number)
        if _state.first is not None and time.monotonic() - _state.since > _patience():
            _end_at_once()


def _wait() -> float | None:
    return None if _state.first is None else 0.05


def _patience() -> float:
    return _LASTING_GRACE if _state.lasting else _GRACE


def _end_at_once() -> NoReturn:
    said = f"cmfl: {message()}\n".encode()
    with suppress(OSError):
        os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + said)
    _end(code() or 1)


def _end(status: int) -> NoReturn:
    remove_unfinished()
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()
    os._exit(status)


def _hold() -> None:
    """Blocks signals during a fork: one sent to the child would reach the parent through the socket."""
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _forget() -> None:
    """Restores the default handlers in a forked child, which must not interrupt the parent."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            if signal.getsignal(number) is _on_signal:
                own = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, own)
    _let_go()
