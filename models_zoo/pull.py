"""Gets a model from a mirror, or its weights from the addresses in its manifest."""

from __future__ import annotations

from pathlib import Path

from cmfl_export.base.errors import CmflError, DownloadError, UsageError
from cmfl_export.base.locks import locked

from . import download, hub, places, registry
from .documents import read_documents, write_documents
from .download import Pulled
from .hub_address import is_address
from .manifest import MANIFEST, MOST_MANIFEST_BYTES, Manifest, ModelFile
from .names import is_model_name, split_variant
from .registry import Model


def pull(
    text: str, *, mirror: str | None = None, endpoint: str | None = None, refresh: bool = False
) -> Pulled:
    """Gets a model's weights; uses the network only for what is missing.

    A packaged model keeps its manifest, wherever its weights come from. A model that is unknown here, or only
    known from a folder in CMFL_ZOO, is copied from the mirror into the user's own models with its manifest.

    Args:
        text: `NAME`, or `NAME:VARIANT`; without a variant, the default one. Or an address in a hub, see
            `hub.pull`.
        mirror: a folder, or an https, http or file address, laid out like models_zoo/; CMFL_ZOO by default.
            Without both, the addresses in the manifest are tried in order.
        endpoint: the hub of an address in a hub.
        refresh: get the manifest of a model that is not packaged from the mirror again; ask the hub whether
            the revision has moved.

    Raises:
        DownloadError: no such model, no address for it, or a download that fails or has other content.
        ModelError: no such variant, or a faulty manifest.
        UsageError: a file cannot be written, or an option does not go with what `text` is.
    """
    if is_address(text):
        if mirror is not None:
            raise UsageError(f"{text} comes from a hub; give --endpoint and not --from")
        return hub.pull(text, endpoint=endpoint, refresh=refresh)
    if endpoint is not None:
        raise UsageError(f"{text} is no address in a hub (hf://owner/name@revision), so it has no --endpoint")
    name, variant = split_variant(text)
    place = places.mirror(mirror)
    model = registry.find(name)
    if model is None or model.place == registry.MIRROR or (refresh and model.place == registry.OWN):
        if place is None or not is_model_name(name):
            raise DownloadError(
                f"{name}: no such model; {registry.known()}; for others, give a mirror with --from or "
                f"{places.MIRROR_VARIABLE}"
            )
        model = _copied(place, name)
    file = model.manifest.weights_of(variant)
    path = model.path_of(file)
    if path is not None:
        return _pulled(model, file, path, "")
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
        return _pulled(model, file, target, download.shown(source))
    raise DownloadError("; ".join(failures))


def _pulled(model: Model, file: ModelFile, path: Path, source: str) -> Pulled:
    manifest = model.manifest
    what = f"{manifest.name} {manifest.version} ({file.variant}), {file.size / 1e6:.1f} MB"
    return Pulled(path, source, what)


def _copied(mirror: Path | str, name: str) -> Model:
    """Copies manifest and documents of the mirror's model, without its weights, to the user's own models."""
    source = places.within(mirror, name, MANIFEST)
    data = download.read(source, MOST_MANIFEST_BYTES)
    where = download.shown(source)
    manifest = Manifest.parse(data, where)
    if manifest.name != name:
        raise DownloadError(f"{where}: name: {manifest.name!r} must be the name of the folder, {name!r}")
    documents = read_documents(manifest, lambda document: places.within(mirror, name, document))
    folder = places.own_models() / name
    with locked(folder.with_name(f".{name}.lock")):
        write_documents(folder, data, documents)
    return Model(manifest, folder, registry.OWN)


def mirrored() -> list[str]:
    """Returns the names in index.txt of the mirror in CMFL_ZOO; none if the mirror is not an address.

    Raises:
        DownloadError: index.txt cannot be read.
    """
    mirror = places.mirror()
    if mirror is None or isinstance(mirror, Path):
        return []
    text = download.read(places.within(mirror, "index.txt"), MOST_MANIFEST_BYTES).decode("utf-8", "replace")
    return sorted({name for name in text.split() if is_model_name(name)})
