"""What is on this machine of the repositories of a hub: which commits, and which weights of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cmfl_export.base.cache import cache_folder
from cmfl_export.base.errors import ModelError
from cmfl_export.base.files import write_whole
from cmfl_export.base.locks import locked
from cmfl_export.base.text_formats import load_json, read_bytes

from . import places, registry
from .hub_address import Address, is_address
from .manifest import MANIFEST, Manifest
from .registry import Model

HUB = "hub"  # where a model is from, beside "own", "packaged" and "mirror"
_RECORD = "pulled.json"
_MOST_RECORD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Weights:
    """An .onnx file of a repository: its path there, its size and its SHA-256."""

    path: str
    size: int
    sha256: str

    @property
    def place(self) -> Path:
        """Where it is on this machine, once it is pulled."""
        return places.pulled_weights(self.sha256) / self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Snapshot:
    """A repository at a commit, as far as it is known here.

    `default` is the file that an address without one stands for, "" if there is none.
    """

    repository: str
    commit: str
    endpoint: str
    default: str
    weights: tuple[Weights, ...]

    @property
    def folder(self) -> Path:
        """The manifest and the documents of the repository, where it has a manifest."""
        return _folder(self.repository) / self.commit

    def find(self, file: str) -> Weights | None:
        """Returns the weights of this path, "" for the default; None if they are not known here."""
        wanted = file or self.default
        return next((one for one in self.weights if one.path == wanted), None)


def find(address: Address) -> Snapshot | None:
    """Returns what is here of the repository at the address's revision, None if nothing is.

    Raises:
        ModelError: the record of the repository is damaged.
    """
    revisions, snapshots = _read(address.repository)
    return snapshots.get(revisions.get(address.revision, address.revision))


def keep(address: Address, snapshot: Snapshot) -> None:
    """Records a snapshot, and that the address's revision is this commit.

    Raises:
        ModelError: the record of the repository is damaged.
        UsageError: it cannot be written.
    """
    path = _folder(address.repository) / _RECORD
    with locked(path.with_name(f".{_RECORD}.lock")):
        revisions, snapshots = _read(address.repository)
        if not address.is_pinned:
            revisions[address.revision] = snapshot.commit
        before = snapshots.get(snapshot.commit)
        known = {one.path: one for one in (*(before.weights if before else ()), *snapshot.weights)}
        snapshots[snapshot.commit] = snapshot
        commits = {commit: asdict(one) for commit, one in snapshots.items()}
        commits[snapshot.commit]["weights"] = [asdict(one) for one in known.values()]
        write_whole(path, json.dumps({"revisions": revisions, "commits": commits}, indent=1).encode())


def path_of_weights(text: str) -> Path:
    """Returns the path of intact weights that were pulled before.

    Raises:
        UsageError: the text is no address.
        ModelError: they are not on this machine, or damaged; says how to get them.
    """
    address = Address.parse(text)
    snapshot = find(address)
    weights = None if snapshot is None else snapshot.find(address.file)
    if weights is None or not weights.place.exists():
        raise ModelError(f"{text} is not on this machine; run: cmfl zoo pull {text}")
    if not registry.is_intact(weights.place, weights.size, weights.sha256):
        raise ModelError(
            f"{weights.place} is not the file that was pulled (size or SHA-256 differ); run: "
            f"cmfl zoo pull {text}"
        )
    return weights.place


def get(name: str) -> Model:
    """Returns the model of a name of the zoo, or of an address in a hub whose repository has a manifest.

    Raises:
        UsageError: it begins like an address and is none.
        ModelError: no such model is here, or it has no manifest, or a faulty one.
        DownloadError: as in `registry.get`.
    """
    if not is_address(name):
        return registry.get(name)
    address = Address.parse(name)
    snapshot = find(address)
    if snapshot is None:
        raise ModelError(f"{name} is not on this machine; run: cmfl zoo pull {name}")
    if not (snapshot.folder / MANIFEST).is_file():
        raise ModelError(
            f"{address.repository} has no {MANIFEST}; cmfl show {name} prints the card of its file"
        )
    return Model(Manifest.read(snapshot.folder / MANIFEST), snapshot.folder, HUB)


def names() -> list[str]:
    """Returns the addresses of all commits that are here, in order."""
    return sorted(
        f"hf://{repository}@{commit}" for repository in _repositories() for commit in _read(repository)[1]
    )


def _repositories() -> Iterator[str]:
    for record in (cache_folder() / HUB).glob(f"*/*/{_RECORD}"):
        yield f"{record.parent.parent.name}/{record.parent.name}"


def _folder(repository: str) -> Path:
    return cache_folder() / HUB / repository


def _read(repository: str) -> tuple[dict[str, str], dict[str, Snapshot]]:
    """Returns the commits of the revisions that were pulled, and the snapshots by commit."""
    path = _folder(repository) / _RECORD
    if not path.exists():
        return {}, {}
    try:
        record = load_json(read_bytes(path, _MOST_RECORD_BYTES, "a record of pulled models"))
        snapshots = {commit: _snapshot(values) for commit, values in record["commits"].items()}
        return dict(record["revisions"]), snapshots
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is damaged; delete it, and pull the models of {repository} again"
        ) from error


def _snapshot(values: dict[str, object]) -> Snapshot:
    weights = values.pop("weights")
    if not isinstance(weights, Sequence):
        raise TypeError
    return Snapshot(**values, weights=tuple(Weights(**one) for one in weights))  # type: ignore[arg-type]
