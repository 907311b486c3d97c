"""Writes an object of a store: in parts as they come, and it appears whole at the end or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from ...base.errors import UsageError
from ..status import ImageError
from . import stores
from .names import is_web, scheme_of, shown

_PART = 1 << 23


@contextmanager
def uploading(url: str) -> Iterator[BinaryIO]:
    """Gives a stream to write an object; it appears when the block ends without an error.

    S3 is asked beforehand whether the object may be written.

    Raises:
        UsageError: it cannot be written.
        PackageError: the package for this store is missing.
    """
    if is_web(url):
        raise UsageError(f"cannot write {shown(url)}: the web is only read; name a file or an object store")
    store = stores.store_of(url, patient=True)
    key = store._strip_protocol(url)
    with _told(url):
        _ask(store, url, key)
        file = store.open(key, "wb", block_size=_PART)
    try:
        yield _Upload(file, url)  # type: ignore[misc]
    except BaseException:
        with suppress(Exception):
            file.discard()
        # Or its destructor would write what there is.
        file.closed = True
        raise
    with _told(url):
        file.close()


def _ask(store: Any, url: str, key: str) -> None:
    """Begins an upload and ends it without an object, as scoring may take hours before the first part."""
    if scheme_of(url) not in ("s3", "s3a"):
        return
    bucket, name, _ = store.split_path(key)
    begun = store.call_s3("create_multipart_upload", Bucket=bucket, Key=name)
    store.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=begun["UploadId"])


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turns every error into a UsageError, without the texts of the store, which may hold secrets."""
    try:
        yield
    except Exception as error:
        found = error if isinstance(error, ImageError) else stores.judged(error)
        raise UsageError(f"cannot write {shown(url)}: {found.message}") from None


class _Upload(io.RawIOBase):
    """The stream of an upload, with errors that name the object."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with _told(self._url):
            return int(self._file.write(data))

    def tell(self) -> int:
        return int(self._file.tell())
