"""Adds a user's own model to the zoo."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from cmfl_export.base.errors import ModelError
from cmfl_export.base.files import writing
from cmfl_export.base.locks import locked

from . import places
from .manifest import MANIFEST, Manifest, ModelFile
from .registry import OWN, Model
from .verify import check_weights

_CHUNK = 1 << 20


def add(folder: str | os.PathLike[str], *, force: bool = False) -> Model:
    """Checks a folder in the format of the zoo and copies it to the user's own models.

    Only the files that the manifest lists are copied. The checks run on the copy, which becomes visible only
    when all of them pass.

    Args:
        folder: holds a manifest.toml and the files that it lists; `describe` makes one.
        force: replace a model of this name, or use this one instead of a packaged one.

    Raises:
        ModelError: the manifest is faulty; a file is missing, a symbolic link, no regular file, or not the
            listed one; the card in the weights contradicts the manifest; or a model of this name exists.
        UsageError: the copy cannot be written.
    """
    source = Path(folder)
    manifest = Manifest.read(_plain(source / MANIFEST))
    _refuse_existing(manifest.name, force)
    parent = places.own_models()
    target = parent / manifest.name
    with writing(target):
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=parent))
    try:
        with writing(target):
            # mkdtemp makes a folder for this user alone, but other users may read models.
            staging.chmod(0o755)
            for file in manifest.files:
                copy_checked(source / file.name, staging / file.name, file)
            (staging / MANIFEST).write_text(manifest.to_toml(), encoding="utf-8", newline="\n")
        for file in manifest.weights.values():
            faults = check_weights(staging / file.name, manifest, file).faults
            if faults:
                raise ModelError(f"{source / file.name}: {'; '.join(faults)}")
        with locked(parent / f".{manifest.name}.lock"), writing(target):
            _refuse_existing(manifest.name, force)
            if target.exists():
                replaced = staging.with_name(f"{staging.name}-replaced")
                target.rename(replaced)
                staging.rename(target)
                shutil.rmtree(replaced)
            else:
                staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Model(manifest, target, OWN)


def _refuse_existing(name: str, force: bool) -> None:
    if force:
        return
    for parent, whose in (
        (places.packaged(), "a packaged model"),
        (places.own_models(), "one of your own models"),
    ):
        if (parent / name / MANIFEST).exists():
            raise ModelError(
                f"{name} is already the name of {whose}; give another name, or --force to use this one"
            )


def copy_checked(source: Path, target: Path, file: ModelFile) -> None:
    """Copies a file of a model's folder, and checks size and SHA-256 of the copy.

    Raises:
        ModelError: it is no regular file, or not as the manifest says.
    """
    digest = hashlib.sha256()
    size = 0
    # The file may become a link after the check; O_NOFOLLOW refuses it then.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(_plain(source), flags), "rb") as reader, target.open("xb") as writer:
        while size <= file.size and (chunk := reader.read(_CHUNK)):
            size += len(chunk)
            digest.update(chunk)
            writer.write(chunk)
    if size != file.size:
        raise ModelError(f"{source}: its size is not the {file.size} bytes that the manifest lists")
    if digest.hexdigest() != file.sha256:
        raise ModelError(
            f"{source}: its SHA-256 is {digest.hexdigest()}, but the manifest lists {file.sha256}; if the "
            "file is right, run: cmfl zoo describe FOLDER"
        )


def _plain(path: Path) -> Path:
    """Returns the path if it is a regular file and no symbolic link.

    Raises:
        ModelError: it is not.
    """
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; the folder must hold what its manifest lists") from error
    if stat.S_ISLNK(mode):
        raise ModelError(f"{path} is a symbolic link; give the file itself")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{path} is not a file")
    return path
