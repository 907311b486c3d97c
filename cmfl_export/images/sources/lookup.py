"""From the text of a picture to its bytes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

from ..status import ImageError
from . import archives, parquets, stores
from .frames import Frame
from .names import SEPARATOR, archive_kind, scheme_of, shown, split_frame, split_member
from .place import Fault, Located, Object, Place

# Members that are looked for in one pass over their archive.
_AT_ONCE = 10_000


def is_reference(path: str) -> bool:
    """Whether a path is no file of its own but an address, a member or a frame.

    A file of this name comes first.
    """
    if isinstance(path, Located):
        return True
    if "::" not in path and "://" not in path:
        return False
    if scheme_of(path):
        return True
    inside = split_member(path) is not None or split_frame(path) is not None
    return inside and not os.path.lexists(path)


def read_bytes(path: str, limit: int) -> bytes:
    """Returns the bytes of a reference.

    Raises:
        ImageError: they cannot be read, or are more than `limit`.
        OSError: an archive cannot be read.
        PackageError: a package is missing.
    """
    return place_of(path).read(limit)


def place_of(path: str) -> Place:
    """Returns where the bytes of a reference are, without looking whether they are there."""
    if isinstance(path, Located):
        return path.place
    parts, frame = split_member(path), split_frame(path)
    if parts is not None:
        return archives.Member(*parts)
    return Object(path) if frame is None else Frame(*frame)


def look_for(path: str) -> None:
    """Looks whether a reference is there, without reading it.

    Raises:
        ImageError, OSError, PackageError: as `read_bytes`, where it is not.
    """
    place = place_of(path)
    if isinstance(place, archives.Member):
        place = archives.place_of(place.archive, place.name)
    if isinstance(place, Fault):
        raise ImageError(place.status, place.message)
    if isinstance(place, Object):
        stores.size_of(place.url)
    if isinstance(place, Frame):
        Path(place.video).stat()


def located(texts: Iterable[str]) -> Iterator[str]:
    """Yields the texts, with places where they name members: those of one archive are read in one pass.

    So a list of members, as a shard has it, is as fast as the archive itself. What has no place is found
    when it is read.
    """
    for archive, group in groupby(texts, _streamed_archive):
        if archive is None:
            yield from group
            continue
        while some := list(islice(group, _AT_ONCE)):
            yield from _in_one_pass(archive, some)


def _streamed_archive(text: str) -> str | None:
    """The archive of a member that is best read as a stream; those of other archives have places at hand."""
    if isinstance(text, Located) or not is_reference(text):
        return None
    parts = split_member(text)
    if parts is None:
        return None
    streamed = archive_kind(parts[0]) in ("tar.gz", "parquet") or (
        scheme_of(parts[0]) and archive_kind(parts[0]) == "tar"
    )
    return parts[0] if streamed else None


def _in_one_pass(archive: str, texts: list[str]) -> Iterator[str]:
    waiting = deque(texts)
    names = [text[len(archive) + len(SEPARATOR) :] for text in texts]
    try:
        column, first = parquets.number_in(names[0]) if archive_kind(archive) == "parquet" else (None, 0)
    except ImageError:
        yield from waiting
        return
    for found in archives.members(archive, set(names).__contains__, column, first):
        if found == shown(waiting[0]):
            waiting.popleft()
            yield found
        if not waiting:
            return
    # In another order than in the archive, or not there.
    yield from waiting
