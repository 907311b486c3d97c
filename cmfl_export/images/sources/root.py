"""What the file names of a protocol are relative to: a folder, an archive, tar shards, or an address."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ...base.errors import InputError
from ..folders import is_folder, is_image_name
from ..status import ImageError, Status
from . import archives, listing
from .names import archive_kind, is_web, member_of, scheme_of, shown
from .place import Fault, Located, Place

_SHARD = ".tar"
_AT_RANDOM = ("tar", "zip")


class DataRoot:
    """Where the images of a protocol are. The members of archives are looked up once and then read at random.

    Attributes:
        text: the root as it was given.
        folder: the folder on this machine, or None.
    """

    def __init__(self, text: str, folder: Path | None, index: dict[str, Place] | None) -> None:
        self.text = text
        self.folder = folder
        self._index = index

    @classmethod
    def of(cls, root: str | os.PathLike[str]) -> DataRoot:
        """Opens a data root.

        Args:
            root: a folder; a .tar or .zip archive; a folder of .tar shards, or a pattern of them; or the
                address of one of these in a store, where shards need a pattern (`s3://b/shards/*.tar`).

        Raises:
            InputError: it is none of these, an archive is damaged, or two shards have a member of one name.
            PackageError: the package for the store is missing.
        """
        text = os.fspath(root)
        if shown(text) != text:
            # A run and an evaluation record it.
            raise InputError(
                f"the data root {shown(text)} holds a password or a signature; give these in the variables "
                "of the store's client"
            )
        kind = archive_kind(text)
        pattern = listing.is_pattern(text) if scheme_of(text) else "*" in text and not Path(text).exists()
        if kind and kind not in _AT_RANDOM and not pattern:
            raise InputError(f"the data root {shown(text)} cannot be read at random; pack a .tar or .zip")
        try:
            shards = _shards(text, pattern)
            if shards:
                return cls(text, None, _merged(tuple((shard, archives.state_of(shard)) for shard in shards)))
            if scheme_of(text) and not is_web(text):
                return cls(text, None, None)
        except (ImageError, OSError) as error:
            reason = error.message if isinstance(error, ImageError) else (error.strerror or "unreadable")
            raise InputError(f"the data root {shown(text)} cannot be read: {reason}") from error
        if Path(text).is_dir():
            return cls(text, Path(text), None)
        raise InputError(
            f"the data root {shown(text)} is not a folder, a .tar or .zip, or the address of one; give what "
            "the protocol's file names are relative to"
        )

    def only(self, names: Iterable[str]) -> DataRoot:
        """Returns this root with the places of these files alone, for a process that needs no others."""
        if self._index is None:
            return self
        keys = map(_key, names)
        index = {key: self._index[key] for key in keys if key in self._index}
        return DataRoot(self.text, None, index)

    def path(self, name: str) -> str:
        """Returns the path of a file, for `open_rgb` and `decode`."""
        if self._index is not None:
            missing = Fault(Status.NOT_FOUND, "the archive has no such member")
            return Located(member_of(self.text, name), self._index.get(_key(name), missing))
        if self.folder is None:
            return f"{self.text.rstrip('/')}/{name}"
        return os.fspath(self.folder / name)


def _shards(text: str, pattern: bool) -> list[str]:
    """The archives that a root stands for, in order; none if it is a folder of images."""
    if scheme_of(text):
        if pattern:
            return [address for address, _ in listing.matches(text)]
        return [text] if archive_kind(text) else []
    if pattern:
        folder = Path(text).parent
        return sorted(str(path) for path in folder.iterdir() if fnmatch.fnmatch(path.name, Path(text).name))
    if archive_kind(text) and Path(text).is_file():
        return [text]
    return _in_folder(text) if Path(text).is_dir() else []


def _in_folder(folder: str) -> list[str]:
    """The shards in a folder that has neither folders nor images; with these it is a folder of images."""
    found = []
    try:
        entries = os.scandir(folder)
    except OSError:
        # What its files say.
        return []
    with entries:
        for entry in entries:
            if entry.name.lower().endswith(_SHARD):
                found.append(entry.path)
            elif is_image_name(entry.name) or is_folder(entry):
                return []
    return sorted(found)


@lru_cache(maxsize=2)
def _merged(shards: tuple[tuple[str, object], ...]) -> dict[str, Place]:
    """The place of each member of the archives by its name."""
    merged: dict[str, Place] = {}
    for shard, _ in shards:
        index, damage = archives.index_of(shard)
        if damage is not None:
            raise InputError(f"{shard}: {damage.message}; pack it again")
        for name, place in index.items():
            key = _key(name)
            if len(shards) > 1 and key in merged:
                raise InputError(
                    f"{shard} has a member {name!r}, and so has another shard; give each image its own name"
                )
            merged[key] = place
    return merged


def _key(name: str) -> str:
    return name.removeprefix("./")
