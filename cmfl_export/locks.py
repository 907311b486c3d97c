"""One writer at a time: locks that a killed process does not leave behind."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CmflError
from .files import writing

_LONGEST_NAME = 200

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        while not _take(descriptor):
            time.sleep(0.2)

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # A file system that knows no locks is written to without.
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other thread or process holds the lock, a file that is made and stays.

    Raises:
        CmflError: the file cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab")
    # Closing the file, which the system does for a process that dies, lets go of the lock.
    with stream:
        with writing(path):
            _wait(stream.fileno())
        yield


def hold(descriptor: int, path: Path) -> None:
    """Takes an open output for as long as it stays open; of a device or a pipe nothing is taken.

    Raises:
        CmflError: another thread or process has it.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and not _take(descriptor):
        raise _held(path)


@contextmanager
def exclusive(path: Path | None) -> Iterator[None]:
    """Keeps an output file that appears whole to this thread, by a hidden file beside it.

    It goes away at the end; what a killed process leaves of it is taken over. None, and what is there and
    is no regular file, is not locked; nor is a file in a folder that cannot be written to.

    Raises:
        CmflError: another thread or process is writing this file.
    """
    target = None if path is None else Path(os.path.realpath(path))
    if path is None or target is None or (target.exists() and not target.is_file()):
        yield
        return
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(_lock_name(target.name))
    try:
        descriptor = _taken(beside)
    except OSError:
        # Whoever writes the file will say better what is wrong.
        yield
        return
    if descriptor is None:
        raise _held(path)
    try:
        yield
    finally:
        # While it is held, so that nobody's lock is removed.
        with suppress(OSError):
            beside.unlink()
        os.close(descriptor)


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Keeps an output folder to this thread; it is made where missing, and nothing is put into it.

    A folder that was made here and is still empty at the end goes away.

    Raises:
        CmflError: another thread or process is writing to this folder, or it cannot be made.
    """
    made = not folder.exists()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        with exclusive(folder / "folder"):
            yield
        return
    try:
        if not _take(descriptor):
            raise _held(folder)
        try:
            yield
        finally:
            if made:
                with suppress(OSError):
                    folder.rmdir()
    finally:
        os.close(descriptor)


def _taken(beside: Path) -> int | None:
    """A descriptor of the lock file, held; None where another holds it."""
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _take(descriptor):
            os.close(descriptor)
            return None
        # Its holder may have removed it between the opening and the lock, which is then nobody's.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), beside.stat()):
                return descriptor
        os.close(descriptor)


def _lock_name(name: str) -> str:
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.lock"


def _held(path: Path) -> CmflError:
    return CmflError(
        f"another process is writing {path}; wait until it has ended, or give another name with -o"
    )
