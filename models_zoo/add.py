"""Adding a model of one's own to the zoo."""

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

    What the manifest lists is copied, and nothing else. The copy is what gets checked, and it takes its place
    only when all of it is right.

    Args:
        folder: with a manifest.toml and the files that it lists; see `describe` for how to make one.
        force: replace a model of this name, or stand in for a packaged one.

    Raises:
        CmflError: a faulty manifest; a file that is missing, a symbolic link, no file, or another than
            listed; weights whose own card says otherwise; or a model of this name is there.
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
            # mkdtemp's is for this user alone; others may read models.
            staging.chmod(0o755)
            for file in manifest.files:
                _copy(source / file.name, staging / file.name, file)
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
        (places.own_models(), "a model of your own"),
    ):
        if (parent / name / MANIFEST).exists():
            raise ModelError(
                f"{name} is {whose} already; give another name, or --force to use this one instead"
            )


def _copy(source: Path, target: Path, file: ModelFile) -> None:
    """Copies a file, and checks what was copied."""
    digest = hashlib.sha256()
    size = 0
    # Between the check and the opening it may become a link, which is then not followed.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(_plain(source), flags), "rb") as reader, target.open("xb") as writer:
        while size <= file.size and (chunk := reader.read(_CHUNK)):
            size += len(chunk)
            digest.update(chunk)
            writer.write(chunk)
    if size != file.size:
        raise ModelError(f"{source}: its size is not the {file.size} bytes that the manifest says")
    if digest.hexdigest() != file.sha256:
        raise ModelError(
            f"{source}: its SHA-256 is {digest.hexdigest()}, but the manifest says {file.sha256}; if the "
            "file is right, run: cmfl zoo describe FOLDER"
        )


def _plain(path: Path) -> Path:
    """The path, of a file that is no symbolic link."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; the folder must hold what its manifest lists") from error
    if stat.S_ISLNK(mode):
        raise ModelError(f"{path} is a symbolic link; give the file itself")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{path} is not a file")
    return path
