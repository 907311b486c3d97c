"""Pulls a model from a hub: Hugging Face, or a mirror that answers in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from cmfl_export.base.errors import DownloadError
from cmfl_export.base.text_formats import FormatError, load_json

from . import download, hub_cache, places
from .documents import read_documents, write_documents
from .download import Pulled
from .hub_address import (
    DEFAULT_ENDPOINT,
    TOKEN_VARIABLE,
    Address,
    hub_endpoint,
    hub_token,
    is_commit,
    is_weights,
)
from .hub_cache import Snapshot, Weights
from .manifest import MANIFEST, MOST_MANIFEST_BYTES, MOST_WEIGHTS_BYTES, Manifest

_MOST_LISTING_BYTES = 8 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT_HEADER, _SUM_HEADER, _SIZE_HEADER = "X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size"


def pull(text: str, *, endpoint: str | None = None, refresh: bool = False) -> Pulled:
    """Gets weights from a repository of a hub; uses the network only for what is missing.

    The revision becomes a commit first, and everything is of that commit. Where the repository is a model's
    folder (it has a manifest.toml), its manifest says what the files are. Of another one, the SHA-256 of Git
    LFS says what an .onnx file is. A pull leaves a checked file and a record of it, or neither.

    Args:
        text: hf://owner/name@revision/file.onnx. Without a revision it is `main`; without a file it is the
            default of the manifest, or the only .onnx file.
        endpoint: address of the hub; HF_ENDPOINT by default, else that of Hugging Face.
        refresh: ask the hub whether the revision has moved.

    Raises:
        DownloadError: no such repository, revision or file; no access; a download that fails or has other
            content; or answers that contradict each other.
        ModelError: the manifest of the repository is faulty.
        UsageError: `text` is no address, `endpoint` or HF_TOKEN is none, or a file cannot be written.
    """
    address = Address.parse(text)
    source = _Repository(hub_endpoint(endpoint), address)
    snapshot = None if refresh and not address.is_pinned else hub_cache.find(address)
    weights = None if snapshot is None else snapshot.find(address.file)
    if snapshot is not None and weights is not None:
        if download.is_intact(weights.place, weights.size, weights.sha256):
            return _pulled(address, snapshot.commit, weights, "")
        source.get(snapshot.commit, weights)
        return _pulled(address, snapshot.commit, weights, source.shown)
    found = source.look_up(snapshot.commit if snapshot else address.revision)
    weights = found.snapshot.find(address.file)
    if weights is None:
        raise DownloadError(f"the {MANIFEST} of {address.repository} has no {address.file}")
    came = not download.is_intact(weights.place, weights.size, weights.sha256)
    if came:
        source.get(found.snapshot.commit, weights)
    if found.manifest:
        write_documents(found.snapshot.folder, found.manifest, found.documents)
    hub_cache.keep(address, found.snapshot)
    return _pulled(address, found.snapshot.commit, weights, source.shown if came else "")


def _pulled(address: Address, commit: str, weights: Weights, source: str) -> Pulled:
    what = f"{address.repository} {weights.path}, {weights.size / 1e6:.1f} MB"
    pin = "" if address.is_pinned else f"{address.revision} is {commit}; pin it as {address.at(commit)}"
    return Pulled(weights.place, source, what, pin)


@dataclass(frozen=True)
class _Found:
    """What a hub says of a repository: the snapshot, and its manifest and documents where it has them."""

    snapshot: Snapshot
    manifest: bytes
    documents: Mapping[str, bytes]


class _Repository:
    """A repository of a hub, on the web."""

    def __init__(self, place: str, address: Address) -> None:
        self._place = place
        self._address = address
        self._token = hub_token(place)
        self.shown = download.shown(place)

    def look_up(self, revision: str) -> _Found:
        """Asks what the revision is, and what is in it."""
        url = self._url("api", "models", self._address.owner, self._address.name, "revision", revision)
        with self._asking():
            data = download.read(url, _MOST_LISTING_BYTES, token=self._token)
        commit, files = _listing(data, download.shown(url))
        if is_commit(revision) and commit != revision:
            raise DownloadError(f"{download.shown(url)} answers for the commit {commit}")
        if MANIFEST in files:
            return self._described(commit)
        return _Found(self._alone(commit, [file for file in files if is_weights(file)]), b"", {})

    def get(self, commit: str, weights: Weights) -> None:
        """Downloads weights."""
        with self._asking():
            download.download(
                self._resolve(commit, weights.path),
                weights.place,
                weights.size,
                weights.sha256,
                token=self._token,
            )

    def _described(self, commit: str) -> _Found:
        """Reads a repository that is a model's folder, and compares its manifest with Git LFS."""
        url = self._resolve(commit, MANIFEST)
        with self._asking():
            data = download.read(url, MOST_MANIFEST_BYTES, token=self._token)
            manifest = Manifest.parse(data, download.shown(url))
            documents = read_documents(manifest, lambda name: self._resolve(commit, name), token=self._token)
        weights = tuple(Weights(file.name, file.size, file.sha256) for file in manifest.weights.values())
        snapshot = Snapshot(self._address.repository, commit, self.shown, weights[0].path, weights)
        wanted = snapshot.find(self._address.file)
        if wanted is not None and self._linked(commit, wanted.path) not in (None, wanted):
            raise DownloadError(
                f"{self._address.repository}: {MANIFEST} and Git LFS disagree about {wanted.path} "
                "(size or SHA-256); nothing was kept"
            )
        return _Found(snapshot, data, documents)

    def _alone(self, commit: str, files: list[str]) -> Snapshot:
        """Finds the .onnx file of a repository without a manifest."""
        repository = self._address.repository
        file = self._address.file or (files[0] if len(files) == 1 else "")
        if not file:
            raise DownloadError(
                f"{repository} has several .onnx files and no {MANIFEST}; name one: {', '.join(files[:9])}"
                if files
                else f"{repository} has neither a {MANIFEST} nor an .onnx file, so it is no model"
            )
        if file not in files:
            raise DownloadError(
                f"{repository} has no {file}; its .onnx files: {', '.join(files[:9]) or 'none'}"
            )
        weights = self._linked(commit, file)
        if weights is None:
            raise DownloadError(
                f"{repository}: nothing says the SHA-256 of {file}; it needs a {MANIFEST} or Git LFS"
            )
        return Snapshot(repository, commit, self.shown, files[0] if len(files) == 1 else "", (weights,))

    def _linked(self, commit: str, path: str) -> Weights | None:
        """Returns the size and the SHA-256 that Git LFS has of a file, None for one that is not in it."""
        url = self._resolve(commit, path)
        with self._asking():
            found = download.headers(url, _COMMIT_HEADER, token=self._token)
        if found.get(_COMMIT_HEADER, commit) != commit:
            raise DownloadError(f"{download.shown(url)} answers for the commit {found[_COMMIT_HEADER]!r}")
        # The ETag of a file outside of LFS is shorter, the SHA-1 of its blob.
        sha256, size = found.get(_SUM_HEADER, "").strip('"'), found.get(_SIZE_HEADER, "")
        if not _SHA256.fullmatch(sha256):
            return None
        if not re.fullmatch(r"[0-9]{1,15}", size) or not 0 < int(size) <= MOST_WEIGHTS_BYTES:
            raise DownloadError(
                f"{download.shown(url)}: its size {size[:20]!r} must be a number of bytes from 1 to "
                f"{MOST_WEIGHTS_BYTES}"
            )
        return Weights(path, int(size), sha256)

    def _resolve(self, commit: str, path: str) -> str:
        return self._url(self._address.owner, self._address.name, "resolve", commit, *path.split("/"))

    def _url(self, *names: str) -> str:
        return str(places.within(self._place, *names))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Adds to the refusals of a hub what to do."""
        try:
            yield
        except DownloadError as error:
            code = error.__cause__.code if isinstance(error.__cause__, HTTPError) else 0
            if code in (401, 403):
                advice = (
                    f"the token in {TOKEN_VARIABLE} gives no access to it"
                    if self._token
                    else f"private, gated or no such repository; set {TOKEN_VARIABLE} (only sent over https)"
                )
            elif code == 404:
                advice = "no such repository, revision or file"
            else:
                raise
            raise DownloadError(f"{error}; {advice}") from error.__cause__


def _listing(data: bytes, where: str) -> tuple[str, list[str]]:
    """Reads the answer about a revision: the commit, and the paths of its files within the repository."""
    try:
        answer: Any = load_json(data)
        commit = answer["sha"]
        files = [sibling["rfilename"] for sibling in answer["siblings"]]
        if not is_commit(commit):
            raise FormatError("sha")
        names = [name.split("/") for name in files]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(
            f"{where} does not answer like {DEFAULT_ENDPOINT}; is it the address of a hub?"
        ) from error
    for file, parts in zip(files, names, strict=True):
        if {"", ".", ".."} & set(parts) or "\\" in file:
            raise DownloadError(f"{where}: {file!r} is no path within a repository; nothing was kept")
    return commit, files
