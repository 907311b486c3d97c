"""Files that appear whole or not at all and never overwrite an input."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UsageError

# Files and folders that are being written: a process that must end at once removes them.
_unfinished: set[Path] = set()
_PART = re.compile(r"^\.(?P<stem>.+)\.cmfl-(?P<mark>[0-9a-f]{12})(?P<suffix>\.\w+)?$", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, which replaces it if the block ends without an error.

    The temporary path has the same suffix. Where `path` is a symbolic link, its target is replaced.

    Raises:
        UsageError: `path` is a folder or a device, or its folder cannot be made or written to.
    """
    with writing(path):
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if path.is_dir() or is_stream(path):
            raise OSError(errno.EINVAL, "it is a folder" if path.is_dir() else "it is not a regular file")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.stem[:60]}.cmfl-{secrets.token_hex(6)}{target.suffix}")
    with unfinished(part):
        with writing(path):
            part.touch(exist_ok=False)
        try:
            yield part
            with writing(path):
                sync(part)
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Gives a temporary folder, removed after the block and when the process must end at once."""
    with tempfile.TemporaryDirectory(prefix="cmfl-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with unfinished(folder):
            yield folder


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Marks a file or folder of this block, to be removed when the process must end at once."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Removes everything `unfinished` in this process, which must end right after."""
    import shutil

    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def remove_parts(folder: Path, endings: Sequence[str]) -> int:
    """Removes temporary files of `whole_file` that killed processes left in a folder.

    Nobody else may be writing to the folder (see `locks.exclusive_folder`). Links are not followed.

    Args:
        endings: only files with one of these suffixes are removed.

    Returns:
        The number of removed files.
    """
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            found = _PART.match(name)
            if found is not None and found["suffix"] in endings:
                with suppress(OSError):
                    Path(place, name).unlink()
                    count += 1
    return count


@contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Turns an OSError (no permission, a full disk) into a UsageError that names the target."""
    try:
        yield
    except BrokenPipeError:
        # The reader of a pipe has gone. That is no error of the target; the caller ends quietly.
        raise
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file whole or not at all; writes directly to a device or a pipe.

    Raises:
        UsageError: it cannot be written.
    """
    with writing(path):
        if is_stream(path):
            path.write_bytes(data)
            return
    with whole_file(path) as part, writing(path):
        part.write_bytes(data)


def is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or an open file of this process such as /dev/stdout."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    # A link in /dev or /proc may lead to a regular file that is already open and must not be replaced.
    of_process = path.is_symlink() and f"{os.path.realpath(path.parent)}/".startswith(("/dev/", "/proc/"))
    return of_process or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def refuse_overwriting(
    outputs: Iterable[Path | None], inputs: Iterable[tuple[str, str | os.PathLike[str] | int]]
) -> None:
    """Checks, before anything is written, that no output is an input or another output.

    Files are compared by identity, so links, other spellings of a path and other letter cases are recognised.
    The inputs are looked at only if an output exists already.

    Args:
        outputs: files that will be written; None entries are skipped.
        inputs: for each file that is read: what it is, such as "the model", and its path or descriptor.

    Raises:
        UsageError: an output is one of the others. The message names the file and what it is.
    """
    named = [path for path in outputs if path is not None and not is_stream(path)]
    for number, path in enumerate(named):
        for other in named[:number]:
            if _same_place(path, other):
                raise UsageError(f"{path} and {other} are the same file; give each output its own name")
    there = {identity: path for path in named if (identity := _identity(path)) is not None}
    if there:
        for what, source in inputs:
            identity = _identity(source)
            found = None if identity is None else there.get(identity)
            if found is not None:
                raise UsageError(
                    f"{found} is {what}, which would be overwritten; give the output another name"
                )


def check_ending(path: Path | None, endings: Sequence[str], what: str) -> None:
    """Checks that a file to write has one of the endings; a device may have any name.

    Args:
        path: the file; None is accepted.
        endings: allowed suffixes in lower case, with their dots.
        what: what will be written; begins the error.

    Raises:
        UsageError: the file has another ending, or is a folder.
    """
    if path is None or is_stream(path):
        return
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; give the name of a file")
    if path.suffix.lower() not in endings:
        raise UsageError(f"{what} is written to {' or '.join(endings)}, not to {path}; give it that ending")


def _same_place(path: Path, other: Path) -> bool:
    first, second = (Path(os.path.realpath(one)) for one in (path, other))
    if first.exists() and second.exists():
        return first.samefile(second)
    # Some file systems do not distinguish upper and lower case.
    return str(first).casefold() == str(second).casefold()


def _identity(path: str | os.PathLike[str] | int) -> tuple[int, int] | None:
    try:
        found = os.fstat(path) if isinstance(path, int) else Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    # Windows syncs only files that are open for writing.
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
