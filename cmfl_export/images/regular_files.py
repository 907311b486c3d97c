"""Opens a file of this machine, unless it is a folder, a pipe or a device."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .status import ImageError, Status


@contextmanager
def opened_file(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file; gives its length, too.

    Raises:
        ImageError: it is something else, or has an impossible name.
        OSError: it cannot be opened.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except ValueError as error:
        # The path has a NUL, or characters that the file system cannot store.
        raise ImageError(Status.NOT_FOUND, "no file can have this name") from error
    if stat.S_ISDIR(mode):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ImageError(Status.PERMISSION_DENIED, "no permission to read the folder")
        raise ImageError(Status.NOT_A_FILE, "a folder, not an image file")
    if not stat.S_ISREG(mode):
        # Opening a named pipe or a device could block for ever.
        raise ImageError(Status.NOT_A_FILE, "not a regular file")
    with file.open("rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size
