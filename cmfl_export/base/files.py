"""Files that appear whole or not at all, and never in the place of an input."""

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

# What is being written at this moment: a process that must end at once removes it.
_unfinished: set[Path] = set()
_PART = re.compile(r"^\.(?P<stem>.+)\.cmfl-(?P<mark>[0-9a-f]{12})(?P<suffix>\.\w+)?$", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that takes its place if the block ends well.

    Through a symbolic link its target is replaced, not the link.

    Raises:
        CmflError: `path` is a folder or a device, or its folder cannot be made or written to.
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
    """A temporary folder that goes away with the block, and with a process that must end at once."""
    with tempfile.TemporaryDirectory(prefix="cmfl-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with unfinished(folder):
            yield folder


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """A file or folder of this block's own, which goes away with a process that must end at once."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Removes what is `unfinished` in this process, which ends right after."""
    import shutil

    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def remove_parts(folder: Path, endings: Sequence[str]) -> int:
    """Removes the temporary files of `whole_file` with these endings that killed processes left in a folder.

    Nobody else may be writing to it (`locks.exclusive_folder`). Links are not followed.

    Returns:
        how many there were.
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
    """Turns an OSError (no permission, a full disk) into the CmflError that names the target."""
    try:
        yield
    except BrokenPipeError:
        # Who read it has gone, which is no fault of the target; the caller ends quietly.
        raise
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file whole or not at all; a device or a pipe is written to as it is."""
    with writing(path):
        if is_stream(path):
            path.write_bytes(data)
            return
    with whole_file(path) as part, writing(path):
        part.write_bytes(data)


def is_stream(path: Path) -> bool:
    """Whether it is a device, a pipe or an open file of this process (/dev/stdout), not a file of its own."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    # A link there may lead to a regular file, which is open already and must not be replaced.
    of_process = path.is_symlink() and f"{os.path.realpath(path.parent)}/".startswith(("/dev/", "/proc/"))
    return of_process or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def refuse_overwriting(
    outputs: Iterable[Path | None], inputs: Iterable[tuple[str, str | os.PathLike[str] | int]]
) -> None:
    """Sees to it, before anything is written, that no output is an input or another output.

    Files are compared by what they are, so that links, other ways to write a path and other cases of letters
    are seen through. Costs a look at each input, and nothing where no output is there yet.

    Args:
        outputs: files that will be written; None is none.
        inputs: (what it is, such as "the model", path or descriptor) of each file that is read.

    Raises:
        CmflError: naming the file and what it is.
    """
    named = [path for path in outputs if path is not None and not is_stream(path)]
    for number, path in enumerate(named):
        for other in named[:number]:
            if _same_place(path, other):
                raise UsageError(f"{path} and {other} are one file; give two outputs two names")
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
    """Raises CmflError if a file to write is not called what it will be; a device may be called anything."""
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
    # On some file systems other cases of letters are the same name.
    return str(first).casefold() == str(second).casefold()


def _identity(path: str | os.PathLike[str] | int) -> tuple[int, int] | None:
    try:
        found = os.fstat(path) if isinstance(path, int) else Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Returns when the file's content is on the disk."""
    # Windows syncs only what is open for writing.
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
