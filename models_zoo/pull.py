"""Getting a model from a mirror, or its weights from where its manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmfl_export.base.errors import CmflError, DownloadError
from cmfl_export.base.files import write_whole
from cmfl_export.base.locks import locked

from . import download, places, registry
from .manifest import MANIFEST, MOST_DOCUMENT_BYTES, MOST_MANIFEST_BYTES, Manifest, ModelFile
from .names import is_model_name, split_variant
from .registry import Model


@dataclass(frozen=True)
class Pulled:
    """What a pull did. `source` is where the weights came from, "" where they were here already."""

    model: Model
    file: ModelFile
    path: Path
    source: str

    def lines(self) -> list[str]:
        manifest = self.model.manifest
        what = f"{manifest.name} {manifest.version} ({self.file.variant}), {self.file.size / 1e6:.1f} MB"
        if not self.source:
            return [f"{what}: here already, SHA-256 checked: {self.path}"]
        return [f"{what}: from {self.source}, SHA-256 checked: {self.path}"]


def pull(text: str, *, mirror: str | None = None, refresh: bool = False) -> Pulled:
    """Sees to it that a model's weights are on this machine; asks the network only for what is missing.

    A model that comes with the installation keeps its manifest, wherever the weights come from. One that is
    not known here, or only from a folder in CMFL_ZOO, is copied from the mirror into the user's own models,
    its manifest with it.

    Args:
        text: `NAME`, or `NAME:VARIANT`; the default variant by default.
        mirror: a folder, or an https, http or file address, laid out like models_zoo/; CMFL_ZOO by default.
            Without either, the addresses in the manifest are tried in order.
        refresh: take the manifest of a model that is not packaged from the mirror again.

    Raises:
        CmflError: no such model; nowhere to get it from; or what came is not what the manifest promises.
    """
    name, variant = split_variant(text)
    place = places.mirror(mirror)
    model = registry.find(name)
    if model is None or model.place == registry.MIRROR or (refresh and model.place == registry.OWN):
        if place is None or not is_model_name(name):
            raise DownloadError(
                f"{name}: no such model; {registry.known()}; for others give a mirror with --from or "
                f"{places.MIRROR_VARIABLE}"
            )
        model = _copied(place, name)
    file = model.manifest.weights_of(variant)
    path = model.path_of(file)
    if path is not None:
        return Pulled(model, file, path, "")
    sources: list[Path | str] = [] if place is None else [places.within(place, name, file.name)]
    sources += file.urls
    if not sources:
        raise DownloadError(
            f"the manifest of {name} names no address for {file.name}; give a mirror with --from or "
            f"{places.MIRROR_VARIABLE}"
        )
    target = places.pulled_weights(file.sha256) / file.name
    failures = []
    for source in sources:
        try:
            download.download(source, target, file.size, file.sha256)
        except CmflError as error:
            failures.append(str(error))
            continue
        return Pulled(model, file, target, download.shown(source))
    raise DownloadError("; ".join(failures))


def _copied(mirror: Path | str, name: str) -> Model:
    """The model of the mirror with its documents, as one of the user's own; not yet its weights."""
    source = places.within(mirror, name, MANIFEST)
    data = download.read(source, MOST_MANIFEST_BYTES)
    where = download.shown(source)
    manifest = Manifest.parse(data, where)
    if manifest.name != name:
        raise DownloadError(f"{where}: name: {manifest.name!r} must be the folder's, {name!r}")
    documents = {}
    for file in manifest.documents:
        address = places.within(mirror, name, file.name)
        documents[file.name] = download.read(address, MOST_DOCUMENT_BYTES)
        if not file.is_content(documents[file.name]):
            raise DownloadError(
                f"{download.shown(address)} is not the file that the manifest promises (size or SHA-256)"
            )
    folder = places.own_models() / name
    with locked(folder.with_name(f".{name}.lock")):
        for document, content in documents.items():
            write_whole(folder / document, content)
        # Last, because a folder without it is no model.
        write_whole(folder / MANIFEST, data)
    return Model(manifest, folder, registry.OWN)


def mirrored() -> list[str]:
    """The names that the mirror in CMFL_ZOO lists, where that is an address: those of its index.txt.

    Raises:
        CmflError: it cannot be read.
    """
    mirror = places.mirror()
    if mirror is None or isinstance(mirror, Path):
        return []
    text = download.read(places.within(mirror, "index.txt"), MOST_MANIFEST_BYTES).decode("utf-8", "replace")
    return sorted({name for name in text.split() if is_model_name(name)})
