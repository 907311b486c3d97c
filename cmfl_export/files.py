"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CmflError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that takes its place if the block ends well.

    Raises:
        CmflError: `path` is a folder, or its folder cannot be made or written to.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem[:60]}.{secrets.token_hex(6)}{path.suffix}")
        part.touch(exist_ok=False)
    try:
        yield part
        with writing(path):
            sync(part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Turns an OSError (no permission, a full disk) into the CmflError that names the target."""
    try:
        yield
    except BrokenPipeError:
        # Who read it has gone, which is no fault of the target; the caller ends quietly.
        raise
    except OSError as error:
        raise CmflError(f"cannot write {target}: {error.strerror or error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file whole or not at all."""
    with whole_file(path) as part, writing(path):
        part.write_bytes(data)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Returns when the file's content is on the disk."""
    # Windows syncs only what is open for writing.
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
