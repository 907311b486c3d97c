"""Which models there are, and where the files of each are."""

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
    """A model that is known here; `place` is "own", "packaged" or "mirror" (a folder in CMFL_ZOO)."""

    manifest: Manifest
    folder: Path
    place: str

    def path_of(self, file: ModelFile) -> Path | None:
        """Where an intact copy of the file is: in the model's folder or among the pulled weights, or None."""
        return next((path for path in self.candidates(file) if _is_intact(path, file)), None)

    def candidates(self, file: ModelFile) -> tuple[Path, Path]:
        """Where the file may be."""
        return self.folder / file.name, places.pulled_weights(file.sha256) / file.name

    def path_of_weights(self, variant: str | None = None) -> Path:
        """Where the weights are, intact; by default those of the default variant.

        Raises:
            CmflError: no such variant; or the weights are not here, or damaged: says how to get them.
        """
        file = self.manifest.weights_of(variant)
        path = self.path_of(file)
        if path is not None:
            return path
        name = self.manifest.name + (f":{variant}" if variant else "")
        damaged = [path for path in self.candidates(file) if path.exists()]
        if damaged:
            raise ModelError(
                f"{damaged[0]} is not the file that the manifest of {self.manifest.name} promises (size or "
                f"SHA-256); run: cmfl zoo pull {name}"
            )
        raise ModelError(f"the weights of {name} are not on this machine; run: cmfl zoo pull {name}")


def names() -> list[str]:
    """The names of all models that are known here, in order. Looks at folders only, reads nothing."""
    return sorted({folder.name for _, parent in _folders() for folder in _models_in(parent)})


def find(name: str) -> Model | None:
    """The model of this name; the user's own comes before a packaged one, and that before the mirror's.

    Raises:
        CmflError: its manifest is faulty; or it is not here and CMFL_ZOO is no mirror.
    """
    if not is_model_name(name):
        return None
    for place, parent in _folders():
        folder = parent / name
        if (folder / MANIFEST).is_file():
            return Model(read_manifest(folder), folder, place)
    return None


def get(name: str) -> Model:
    """As `find`, for a model that must be there.

    Raises:
        CmflError: there is none, or its manifest is faulty.
    """
    model = find(name)
    if model is None:
        raise ModelError(f"{name}: no such model; {known()}")
    return model


def known() -> str:
    """The known names in words, for errors."""
    return f"the zoo has: {', '.join(names()) or 'nothing yet'}"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder that is called like its model.

    Raises:
        CmflError: it is faulty, or of another model.
    """
    manifest = Manifest.read(folder / MANIFEST)
    if manifest.name != folder.name:
        raise ModelError(
            f"{folder / MANIFEST}: name: {manifest.name!r} must be the folder's, {folder.name!r}"
        )
    return manifest


def _folders() -> Iterator[tuple[str, Path]]:
    yield OWN, places.own_models()
    yield PACKAGED, places.packaged()
    # Last also because a mirror that is gone must not keep what is here from being used.
    mirror = places.mirror()
    if isinstance(mirror, Path):
        yield MIRROR, mirror


def _models_in(parent: Path) -> Iterator[Path]:
    try:
        entries = list(parent.iterdir())
    except OSError:
        return
    yield from (entry for entry in entries if is_model_name(entry.name) and (entry / MANIFEST).is_file())


def _is_intact(path: Path, file: ModelFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == file.size and _hash(path, status.st_size, status.st_mtime_ns) == file.sha256


@lru_cache(maxsize=256)
def _hash(path: Path, _size: int, _mtime_ns: int) -> str:
    """SHA-256 of a file, computed once as long as its size and time stay the same."""
    return sha256_of(path)
