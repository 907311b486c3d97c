"""One process at a time: a lock that a killed process does not leave behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmfl_export.files import writing

if sys.platform == "win32":
    import msvcrt

    def _wait(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except PermissionError:  # held by another
                time.sleep(0.2)

else:
    import fcntl

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
