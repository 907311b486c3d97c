"""Copies the manifest and the documents of a model from somewhere else into its folder here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cmfl_export.base.errors import DownloadError
from cmfl_export.base.files import write_whole

from . import download
from .manifest import MANIFEST, MOST_DOCUMENT_BYTES, Manifest


def read_documents(
    manifest: Manifest, source_of: Callable[[str], Path | str], *, token: str = ""
) -> dict[str, bytes]:
    """Returns the content of all files that are not weights, by name.

    Args:
        manifest: the model's.
        source_of: the file or address of a name.
        token: as in `download.download`.

    Raises:
        DownloadError: one cannot be read, or is not as the manifest says.
    """
    documents = {}
    for file in manifest.documents:
        source = source_of(file.name)
        documents[file.name] = download.read(source, MOST_DOCUMENT_BYTES, token=token)
        if not file.is_content(documents[file.name]):
            raise DownloadError(
                f"{download.shown(source)} is not the file in the manifest (size or SHA-256 differ)"
            )
    return documents


def write_documents(folder: Path, manifest: bytes, documents: Mapping[str, bytes]) -> None:
    """Writes a model's folder without its weights.

    Raises:
        UsageError: a file cannot be written.
    """
    for name, content in documents.items():
        write_whole(folder / name, content)
    # Last, because a folder becomes a model by its manifest.
    write_whole(folder / MANIFEST, manifest)
