"""Lists the images of the folders that a protocol is built from, with names relative to the data root."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from cmfl_export.base.errors import ProtocolError
from cmfl_export.images import is_foreign, iter_paths

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Folder:
    """A folder of images of one kind; `attack` is empty for real ones, `name` is relative to the root."""

    name: str
    attack: str


@dataclass
class Images:
    """The images of folders: attack type by file name, and the names that cannot be used, by reason."""

    attack_of: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def root_of(data_root: PathLike) -> Path:
    """Returns the data root as an absolute path.

    Raises:
        ProtocolError: it is not a folder.
    """
    root = _absolute(data_root)
    if not root.is_dir():
        raise ProtocolError(
            f"the data root {data_root} is not a folder; give the folder that holds all images"
        )
    return root


def folder_in(root: Path, folder: PathLike) -> str:
    """Returns the name of a folder relative to the data root, with `/` on every system.

    A relative path is searched in the working directory first, then in the data root.

    Raises:
        ProtocolError: there is no such folder, or it lies outside the data root.
    """
    found = [path for path in (Path(folder), root / folder) if path.is_dir()]
    if not found:
        raise ProtocolError(f"{folder} is not a folder, neither here nor in the data root {root}")
    for path in found:
        # First as written, so that a link inside the data root may point outside.
        for absolute, base in ((_absolute(path), root), (path.resolve(), root.resolve())):
            if absolute.is_relative_to(base):
                return absolute.relative_to(base).as_posix()
    raise ProtocolError(
        f"the folder {folder} lies outside the data root {root}; a protocol's file names are relative to the "
        "data root, so give one that contains all folders"
    )


def images_in(root: Path, folders: Iterable[Folder]) -> Images:
    """Returns the images in the folders and their subfolders, in order of name.

    A file found twice, through nested folders or links, is used once.

    Raises:
        ProtocolError: a folder has no image, or a file is given as two kinds.
    """
    images = Images()
    attack_of: dict[str, str] = {}
    for folder in folders:
        names = names_in(root, folder.name)
        if not names:
            raise ProtocolError(
                f"no image found in {root / folder.name}; it must be readable and hold files with an image "
                "extension"
            )
        for name in names:
            _refuse_two_kinds(name, attack_of.setdefault(name, folder.attack), name, folder.attack)

    first: dict[tuple[int, int], str] = {}
    for name, attack in sorted(attack_of.items()):
        try:
            info = (root / name).stat()
        except OSError as error:
            images.unusable[(error.strerror or str(error)).lower()].append(name)
            continue
        if not stat.S_ISREG(info.st_mode):
            images.unusable["not a file"].append(name)
        elif not _is_unicode(name):
            images.unusable["the name is not valid Unicode"].append(name)
        elif is_foreign(name):
            images.unusable["a format that is not supported; convert it to PNG or JPEG"].append(name)
        elif "\\" in name:
            images.unusable["a backslash in the name, which separates folders on other systems"].append(name)
        else:
            # st_ino is 0 for all files on a file system without file numbers.
            same = first.setdefault((info.st_dev, info.st_ino), name) if info.st_ino else name
            _refuse_two_kinds(name, attack, same, attack_of[same])
            if same == name:
                images.attack_of[name] = attack
            else:
                images.unusable["the same file under another name"].append(name)
    return images


def names_in(root: Path, folder: str) -> list[str]:
    """Returns the image files in a folder of the root and its subfolders, relative to the root, with `/`."""
    # The slash makes it a folder even if its name ends like that of an image.
    paths: Sequence[str] = list(iter_paths([f"{root / folder}/"]))
    return [PurePath(path).relative_to(root).as_posix() for path in paths if Path(path) != root / folder]


def _absolute(path: PathLike) -> Path:
    """Returns the absolute path without `..`; links are not resolved."""
    return Path(os.path.normpath(Path(path).absolute()))


def _refuse_two_kinds(name: str, attack: str, other: str, other_attack: str) -> None:
    if attack != other_attack:
        kinds = " and ".join(repr(kind) if kind else "real" for kind in sorted((attack, other_attack)))
        link = f" (which is {other})" if other != name else ""
        raise ProtocolError(
            f"{name}{link} is given as {kinds}; it can only be one, so give folders that do not overlap"
        )


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
