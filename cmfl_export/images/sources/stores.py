"""Reads from object stores and web servers through fsspec: patient with what is temporary, silent on secrets.

Credentials come from the variables and files of the store's own client alone. The texts of its errors are
not passed on, because they may hold a signed address.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from ...base.errors import need
from ..status import ImageError, Status
from .names import is_web, scheme_of

ATTEMPTS = 5
# Before the second attempt; doubled before each further one.
FIRST_PAUSE = 0.25
_SECONDS_TO_CONNECT, _SECONDS_WITHOUT_A_BYTE = 10, 60
_CHUNK = 1 << 18

_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError")
_TEMPORARY = (408, 425, 429)
# Of the request itself, as for a name that no object can have.
_OF_THE_REQUEST = (ValueError, TypeError, LookupError, NotImplementedError)

T = TypeVar("T")


def read(url: str, start: int, size: int) -> bytes:
    """Returns up to `size` bytes from `start`, at least 1; fewer where the object ends.

    Raises:
        ImageError: the object cannot be read, with `not_found`, `forbidden` or `unavailable`.
        PackageError: the package for this store is missing.
    """
    store = store_of(url)
    if is_web(url):
        return patiently(lambda: _read_from_web(store, url, start, size))
    key = store._strip_protocol(url)
    try:
        return bytes(patiently(lambda: store.cat_file(key, start=start, end=start + size)))
    except _PastEndError:
        return b""


def size_of(url: str) -> int:
    """Returns the size of an object in bytes.

    Raises:
        ImageError, PackageError: as in `read`; or the server does not tell.
    """
    store = store_of(url)
    size = patiently(lambda: store.info(url if is_web(url) else store._strip_protocol(url))["size"])
    if size is None:
        raise ImageError(Status.UNSUPPORTED, "the server does not tell the size; download the archive first")
    return int(size)


def store_of(url: str) -> Any:
    """Returns fsspec's file system for an address.

    Raises:
        ImageError: plain http.
        PackageError: the package for this store is missing.
    """
    scheme = scheme_of(url)
    if scheme == "http":
        raise ImageError(Status.UNSUPPORTED, "plain http is not read; use https")
    return _store(scheme, os.getpid())


@lru_cache(maxsize=16)
def _store(scheme: str, _process: int) -> Any:
    # A client does not survive a fork, so that each process has its own.
    try:
        import fsspec

        store_class = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise need("remote", f"reading {scheme}:// addresses") from error
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in ("s3", "s3a"):
        # `patiently` tries again, and not each of the layers below it.
        options["config_kwargs"] = {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": _SECONDS_TO_CONNECT,
            "read_timeout": _SECONDS_WITHOUT_A_BYTE,
            "max_pool_connections": 64,
        }
    store = store_class(**options)
    if scheme in ("s3", "s3a"):
        store.retries = 1
    return store


def patiently(call: Callable[[], T]) -> T:
    """Calls a function that asks a store; again, after growing pauses, where its error is temporary.

    Raises:
        ImageError: the last error, in words of this module.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except ImageError:
            raise
        except Exception as error:
            found = _judged(error)
        if found.status is not Status.UNAVAILABLE:
            break
        if attempt + 1 < ATTEMPTS:
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))
    # Without its cause, which may hold a signed address.
    raise found from None


class _PastEndError(ImageError):
    """The object ends before the first byte that was asked for."""


def _judged(error: Exception) -> ImageError:
    code, name = _code_of(error)
    if code == 416 or name == "InvalidRange":
        return _PastEndError(Status.EMPTY, "the file is empty")
    found = Status.UNAVAILABLE, f"no answer after {ATTEMPTS} attempts ({name or code})"
    if isinstance(error, FileNotFoundError) or code in (404, 410):
        found = Status.NOT_FOUND, "no such object"
    elif name in _NO_CREDENTIALS:
        found = Status.FORBIDDEN, "no credentials for this store; set its usual variables"
    elif isinstance(error, PermissionError) or code in (401, 403):
        found = Status.FORBIDDEN, "the store denies access with these credentials"
    elif code and code < 500 and code not in _TEMPORARY:
        found = Status.UNREADABLE, f"the store refuses the request ({name or code})"
    elif not code and (isinstance(error, _OF_THE_REQUEST) or name == "ParamValidationError"):
        found = Status.NOT_FOUND, f"no object can have this name ({name})"
    return ImageError(*found)


def _code_of(error: BaseException) -> tuple[int, str]:
    """The HTTP status of an error or its cause, 0 if there is none, and a name for it."""
    name = ""
    seen: BaseException | None = error
    while seen is not None:
        answer = getattr(seen, "response", None)
        if isinstance(answer, Mapping):  # botocore
            code = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return int(code), str(answer.get("Error", {}).get("Code", ""))[:40]
        for holder in (seen, answer):
            for attribute in ("status", "status_code", "code"):
                code = getattr(holder, attribute, None)
                if isinstance(code, int) and 400 <= code < 600:
                    return code, str(code)
        name = name if name in _NO_CREDENTIALS else type(seen).__name__
        seen = seen.__cause__ or seen.__context__
    return 0, name


def _read_from_web(store: Any, url: str, start: int, size: int) -> bytes:
    """`read` from a web server, whatever length it sends."""
    import aiohttp
    from fsspec.asyn import sync

    async def get() -> bytes:
        session = await store.set_session()
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_WITHOUT_A_BYTE
        )
        ranged = {"Range": f"bytes={start}-{start + size - 1}"} if start else {}
        async with session.get(store.encode_url(url), headers=ranged, timeout=limits) as answer:
            if any(hop.url.scheme != "https" for hop in (*answer.history, answer)):
                raise ImageError(Status.UNSUPPORTED, "the address leads to plain http, which is not read")
            if answer.status == 416:
                return b""
            answer.raise_for_status()
            if start and answer.status != 206:
                raise ImageError(Status.UNSUPPORTED, "the server does not send parts; download the archive")
            parts: list[bytes] = []
            left = size
            async for part in answer.content.iter_chunked(_CHUNK):
                parts.append(part[:left])
                left -= len(parts[-1])
                if not left:
                    # The rest is not wanted.
                    answer.close()
                    break
            return b"".join(parts)

    return bytes(sync(store.loop, get))
