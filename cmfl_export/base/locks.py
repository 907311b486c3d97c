"""Locks that let only one writer use an output and end with a killed process."""

from __future__ import annotations

import errno
import functools
import hashlib
import inspect
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from .errors import CmflError, UsageError
from .files import is_stream, unfinished, writing

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_NAME = 200
_descriptors: set[int] = set()

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
            # On a file system without locks, continue without one.
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock during the block, after waiting until no other thread or process holds it.

    Args:
        path: the lock file, which is made and stays.

    Raises:
        UsageError: the file cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab")
    # Closing the file releases the lock; the system closes it for a process that dies.
    with stream:
        with writing(path):
            _wait(stream.fileno())
        yield


def hold(descriptor: int, path: Path) -> None:
    """Locks an open output until it is closed. Devices and pipes are not locked.

    Raises:
        UsageError: another thread or process holds the lock.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and not _take(descriptor):
        raise _held(path)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Reserves an output file for this thread during the block, by a hidden lock file beside it.

    The lock file is removed at the end; one that a killed process left is taken over. A path that is not a
    regular file is not locked, nor is a file in a folder without write permission. Missing folders are made,
    and removed at the end if they are still empty.

    Raises:
        UsageError: another thread or process is writing this file, or its folder cannot be made.
    """
    target = Path(os.path.realpath(path))
    if is_stream(path) or target.is_dir():
        yield
        return
    with _folder(target.parent, path):
        beside = target.with_name(_lock_name(target.name))
        try:
            descriptor = _taken(beside)
        except OSError:
            # Writing the file will give the better error.
            yield
            return
        if descriptor is None:
            raise _held(path)
        _descriptors.add(descriptor)
        try:
            with unfinished(beside):
                yield
        finally:
            _descriptors.discard(descriptor)
            # Removed while it is held, so that it is not another holder's file.
            with suppress(OSError):
                beside.unlink()
            os.close(descriptor)


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Reserves an output folder for this thread during the block, without a lock file in it.

    A missing folder is made, and removed at the end if it is still empty.

    Raises:
        UsageError: another thread or process is writing to this folder, or it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        # Writing to it will give the better error.
        yield
        return
    with _folder(folder, folder):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except PermissionError:  # Windows cannot open a folder
            with exclusive(folder / "folder"):
                yield
            return
        try:
            if not _take(descriptor):
                raise _held(folder)
            _descriptors.add(descriptor)
            yield
        finally:
            _descriptors.discard(descriptor)
            os.close(descriptor)


def one_writer(*names: str, folder: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function so that it reserves its outputs while it runs.

    Args:
        names: the function's arguments that are output paths or None.
        folder: whether they are folders.
    """
    hold_one = exclusive_folder if folder else exclusive

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def holding(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            with ExitStack() as stack:
                for name in names:
                    if given.get(name) is not None:
                        stack.enter_context(hold_one(Path(given[name])))
                return function(*args, **kwargs)

        return holding

    return decorate


@contextmanager
def _folder(folder: Path, target: Path) -> Iterator[None]:
    """Makes a folder and its parents; removes at the end those it made that are still empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            for place in missing:
                place.rmdir()


def _taken(beside: Path) -> int | None:
    """A descriptor that holds the lock file; None if another holds it."""
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _take(descriptor):
            os.close(descriptor)
            return None
        # The former holder may have removed the file between opening and locking; then try again.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), beside.stat()):
                return descriptor
        os.close(descriptor)


def _close_in_child() -> None:
    """Releases the parent's locks in a forked child, which may outlive a killed parent for a while."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def _lock_name(name: str) -> str:
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.lock"


def _held(path: Path) -> CmflError:
    return UsageError(
        f"another process is writing {path}; wait until it has ended, or give another name with -o"
    )
