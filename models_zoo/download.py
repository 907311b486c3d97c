"""Files from a mirror or an address: whole, of the size and the SHA-256 that were promised, or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cmfl_export.base.errors import DownloadError
from cmfl_export.base.files import sha256_of, sync, writing
from cmfl_export.base.locks import locked

from .pace import Clock, SlowError

TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 60.0  # seconds for the answer's headers with all redirections, and for a document
LEAST_RATE, RATE_SECONDS = 4096, 60.0  # bytes a second, over so many seconds, of weights
_CHUNK = 1 << 18


def download(source: Path | str, target: Path, size: int, sha256: str) -> None:
    """Fetches a file; what an earlier, interrupted fetch left in `target`.part is not fetched again.

    The file appears under its name only after its content has been checked. Of several processes that
    fetch the same file, one does and the others wait for it.

    Args:
        source: a file, or an https or http address. Redirections do not lead from https to anything else.
        target: the file to write.
        size, sha256: what the file must be; no more than `size` bytes are read.

    Raises:
        CmflError: the source cannot be read, ends early (what came is kept), or is another file than
            promised; or `target` cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    with locked(target.with_name(f"{target.name}.lock")):
        if is_intact(target, size, sha256):
            return
        with writing(target):
            resumed = part.exists()
            found = _fetch(source, part, size)
            if found != sha256 and resumed:
                # It may have been the beginning of another file.
                part.unlink()
                found = _fetch(source, part, size)
            if found != sha256:
                part.unlink()
                raise DownloadError(
                    f"{shown(source)} is not the file that the manifest promises: its SHA-256 is {found}, "
                    f"not {sha256}; nothing was kept"
                )
            sync(part)
            part.replace(target)


def read(source: Path | str, most: int) -> bytes:
    """The content of a small file.

    Raises:
        CmflError: it cannot be read, or has more than `most` bytes.
    """
    with _opened(source, 0) as (stream, _, _), _reading(source):
        data: bytes = stream.read(most + 1)
    if len(data) > most:
        raise DownloadError(f"{shown(source)} has more than {most} bytes; it is not what it should be")
    return data


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there and has this content."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def shown(source: Path | str) -> str:
    """An address without what may be secret in it, for messages."""
    if isinstance(source, Path):
        return str(source)
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _fetch(source: Path | str, part: Path, size: int) -> str:
    """Completes `part` to `size` bytes; returns the SHA-256 of the whole."""
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    digest = hashlib.sha256()
    with part.open("a+b") as file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        done = file.tell()
        if done == size:
            return digest.hexdigest()
        with _opened(source, done) as (stream, start, clock):
            if start != done:
                file.truncate(0)
                digest, done = hashlib.sha256(), 0
            clock.restart(RATE_SECONDS)
            came = 0
            while chunk := _chunk(stream, source):
                done += len(chunk)
                came += len(chunk)
                if came >= LEAST_RATE * RATE_SECONDS:
                    clock.restart(RATE_SECONDS)
                    came = 0
                if done > size:
                    break
                file.write(chunk)
                digest.update(chunk)
    if done > size:
        part.unlink()
        raise DownloadError(
            f"{shown(source)} has more than the {size} bytes that the manifest promises; nothing was kept"
        )
    if done < size:
        raise DownloadError(
            f"{shown(source)} ended after {done} of {size} bytes; run it again to go on from there"
        )
    return digest.hexdigest()


def _chunk(stream: Any, source: Path | str) -> bytes:
    with _reading(source):
        # What is there, so that nothing of it is lost when the clock runs out.
        chunk: bytes = stream.read1(_CHUNK)
        return chunk


@contextmanager
def _opened(source: Path | str, start: int) -> Iterator[tuple[Any, int, Clock]]:
    """The content from byte `start` on, or from 0 where a server does not skip; which of both; and the clock
    by which the content is read.
    """
    clock = Clock(PATIENCE, TIMEOUT)
    with _reading(source):
        if isinstance(source, Path):
            stream: Any = source.open("rb")
            stream.seek(start)
        else:
            stream = _request(source, start, clock)
            if start and not _starts_at(stream, start):
                # To a server that gives no part, or another one, the whole is a request of its own.
                if stream.status != 200:
                    stream.close()
                    stream = _request(source, 0, clock)
                start = 0
    with stream:
        yield stream, start, clock


def _request(url: str, start: int, clock: Clock) -> Any:
    headers = {"User-Agent": f"cmfl-export/{version('cmfl-export')}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return build_opener(_Redirections, *clock.handlers()).open(
            Request(url, headers=headers), timeout=TIMEOUT
        )
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _request(url, 0, clock)
        raise


def _starts_at(response: Any, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status == 206 and found is not None and int(found[1]) == start


class _Redirections(HTTPRedirectHandler):
    """Follows a redirection to https, and from http to http."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new != "https" and (old, new) != ("http", "http"):
            raise DownloadError(
                f"{shown(req.full_url)} leads to {shown(newurl)}, from {old} to {new}, which is not safe"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _reading(source: Path | str) -> Iterator[None]:
    """Turns what goes wrong on the way into the CmflError that names the source."""
    try:
        yield
    except HTTPError as error:
        raise DownloadError(f"{shown(source)} cannot be had: {error.code} {_words(error.reason)}") from error
    except SlowError as error:
        raise DownloadError(
            f"{shown(source)} is too slow (less than {LEAST_RATE} bytes a second, or no answer within "
            f"{PATIENCE:g} s); run it again to go on"
        ) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise DownloadError(
                f"{shown(source)} cannot be reached within {PATIENCE:g} s; run it again to go on"
            ) from error
        raise DownloadError(f"{shown(source)} cannot be reached: {_words(error.reason)}") from error
    except TimeoutError as error:
        raise DownloadError(
            f"{shown(source)} gave nothing for {TIMEOUT:g} s; run it again to go on"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(f"{shown(source)} cannot be read: {_words(error)}") from error


def _words(reason: object) -> str:
    """What the system or the server says, in one line."""
    text = str(getattr(reason, "strerror", None) or reason)
    # A server chooses some of these letters; none of them is to steer a terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()) or type(reason).__name__
