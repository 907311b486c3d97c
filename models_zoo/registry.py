"""Finds models and their files on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cmfl_export.base.errors import ModelError
from cmfl_export.base.files import sha256_of

from . import places
from .manifest import MANIFEST, Manifest, ModelFile
from .names import is_model_name

OWN, PACKAGED, MIRROR = "own", "packaged", "mirror"


@dataclass(frozen=True)
class Model:
    """A known model; `place` is "own", "packaged" or "mirror" (a folder in CMFL_ZOO)."""

    manifest: Manifest
    folder: Path
    place: str

    def path_of(self, file: ModelFile) -> Path | None:
        """Returns an intact copy of the file, from the model's folder or the pulled weights; None without."""
        return next((path for path in self.candidates(file) if is_intact(path, file.size, file.sha256)), None)

    def candidates(self, file: ModelFile) -> tuple[Path, Path]:
        """Returns the paths where the file may be."""
        return self.folder / file.name, places.pulled_weights(file.sha256) / file.name

    def path_of_weights(self, variant: str | None = None) -> Path:
        """Returns the path of intact weights; by default those of the default variant.

        Raises:
            ModelError: no such variant, or the weights are missing or damaged; says how to get them.
        """
        file = self.manifest.weights_of(variant)
        path = self.path_of(file)
        if path is not None:
            return path
        name = self.manifest.name + (f":{variant}" if variant else "")
        damaged = [path for path in self.candidates(file) if path.exists()]
        if damaged:
            raise ModelError(
                f"{damaged[0]} is not the file in the manifest of {self.manifest.name} (size or SHA-256 "
                f"differ); run: cmfl zoo pull {name}"
            )
        raise ModelError(f"the weights of {name} are not on this machine; run: cmfl zoo pull {name}")


def names() -> list[str]:
    """Returns the names of all known models, in order, without reading their files."""
    return sorted({folder.name for _, parent in _folders() for folder in _models_in(parent)})


def find(name: str) -> Model | None:
    """Returns the model of this name, or None: first the user's own, then a packaged one, then the mirror's.

    Raises:
        ModelError: its manifest is faulty.
        DownloadError: it is not on this machine, and CMFL_ZOO is not a mirror.
    """
    if not is_model_name(name):
        return None
    for place, parent in _folders():
        folder = parent / name
        if (folder / MANIFEST).is_file():
            return Model(read_manifest(folder), folder, place)
    return None


def get(name: str) -> Model:
    """Returns the model of this name, see `find`.

    Raises:
        ModelError: no such model, or its manifest is faulty.
        DownloadError: it is not on this machine, and CMFL_ZOO is not a mirror.
    """
    model = find(name)
    if model is None:
        raise ModelError(f"{name}: no such model; {known()}")
    return model


def known() -> str:
    """Returns the known names as text for errors."""
    return f"the zoo has: {', '.join(names()) or 'nothing yet'}"


def read_manifest(folder: Path) -> Manifest:
    """Returns the manifest of a folder, which must have the model's name.

    Raises:
        ModelError: it is faulty, or its model has another name.
    """
    manifest = Manifest.read(folder / MANIFEST)
    if manifest.name != folder.name:
        raise ModelError(
            f"{folder / MANIFEST}: name: {manifest.name!r} must be the name of the folder, {folder.name!r}"
        )
    return manifest


def _folders() -> Iterator[tuple[str, Path]]:
    yield OWN, places.own_models()
    yield PACKAGED, places.packaged()
    # Last, so that a missing mirror does not hide the models on this machine.
    mirror = places.mirror()
    if isinstance(mirror, Path):
        yield MIRROR, mirror


def _models_in(parent: Path) -> Iterator[Path]:
    try:
        entries = list(parent.iterdir())
    except OSError:
        return
    yield from (entry for entry in entries if is_model_name(entry.name) and (entry / MANIFEST).is_file())


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists and has this content; it is not read again before its size or time changes."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == size and _hash(path, status.st_size, status.st_mtime_ns) == sha256


@lru_cache(maxsize=256)
def _hash(path: Path, _size: int, _mtime_ns: int) -> str:
    """Returns the SHA-256 of a file, computed again only after its size or time changes."""
    return sha256_of(path)
