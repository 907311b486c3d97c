"""Downloads files from a mirror or an address, and keeps only those with the expected size and SHA-256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cmfl_export.base.errors import DownloadError
from cmfl_export.base.files import sha256_of, sync, writing
from cmfl_export.base.locks import locked
from cmfl_export.base.versions import own_version

from .pace import Clock, SlowError

TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 60.0  # seconds for the headers of the response with all redirections, and for a document
LEAST_RATE, RATE_SECONDS = 4096, 60.0  # bytes per second of weights, averaged over so many seconds
_CHUNK = 1 << 18


def download(source: Path | str, target: Path, size: int, sha256: str) -> None:
    """Downloads a file, continuing an interrupted download in `target`.part.

    The file appears under its name only after its content has been checked. If several processes download the
    same file, one does so and the others wait.

    Args:
        source: a file, or an https or http address. Redirections from https to anything else are refused.
        target: the file to write.
        size, sha256: of the expected content; at most `size` bytes are read.

    Raises:
        DownloadError: the source cannot be read, ends early (the part is kept), or has other content.
        UsageError: `target` cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    with locked(target.with_name(f"{target.name}.lock")):
        if is_intact(target, size, sha256):
            return
        with writing(target):
            resumed = part.exists()
            found = _fetch(source, part, size)
            if found != sha256 and resumed:
                # The part may be the beginning of another file.
                part.unlink()
                found = _fetch(source, part, size)
            if found != sha256:
                part.unlink()
                raise DownloadError(
                    f"{shown(source)} is not the file in the manifest: its SHA-256 is {found}, "
                    f"not {sha256}; nothing was kept"
                )
            sync(part)
            part.replace(target)


def read(source: Path | str, most: int) -> bytes:
    """Returns the content of a small file.

    Raises:
        DownloadError: it cannot be read, or has more than `most` bytes.
    """
    with _opened(source, 0) as (stream, _, _), _reading(source):
        data: bytes = stream.read(most + 1)
    if len(data) > most:
        raise DownloadError(f"{shown(source)} has more than {most} bytes, so it is not the expected file")
    return data


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists and has this content."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def shown(source: Path | str) -> str:
    """Returns an address for messages, without user name, password and query, which may be secret."""
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
            f"{shown(source)} has more than the {size} bytes in the manifest; nothing was kept"
        )
    if done < size:
        raise DownloadError(
            f"{shown(source)} ended after {done} of {size} bytes; run the command again to continue"
        )
    return digest.hexdigest()


def _chunk(stream: Any, source: Path | str) -> bytes:
    with _reading(source):
        # read1 returns the bytes that are there, so that none is lost when the clock runs out.
        chunk: bytes = stream.read1(_CHUNK)
        return chunk


@contextmanager
def _opened(source: Path | str, start: int) -> Iterator[tuple[Any, int, Clock]]:
    """Opens a source at byte `start`, or at 0 if the server cannot skip.

    Gives the stream, the byte that it starts at, and the clock that limits its reading.
    """
    clock = Clock(PATIENCE, TIMEOUT)
    with _reading(source):
        if isinstance(source, Path):
            stream: Any = source.open("rb")
            stream.seek(start)
        else:
            stream = _request(source, start, clock)
            if start and not _starts_at(stream, start):
                # The server returned another part or none, so the whole file is requested.
                if stream.status != 200:
                    stream.close()
                    stream = _request(source, 0, clock)
                start = 0
    with stream:
        yield stream, start, clock


def _request(url: str, start: int, clock: Clock) -> Any:
    headers = {"User-Agent": f"cmfl-export/{own_version()}", "Accept-Encoding": "identity"}
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
    """Follows redirections to https, and from http to http."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new != "https" and (old, new) != ("http", "http"):
            raise DownloadError(
                f"{shown(req.full_url)} redirects to {shown(newurl)}, from {old} to {new}, which is not safe"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _reading(source: Path | str) -> Iterator[None]:
    """Turns errors of the network and the system into a DownloadError that names the source."""
    try:
        yield
    except HTTPError as error:
        raise DownloadError(
            f"{shown(source)} cannot be downloaded: {error.code} {_words(error.reason)}"
        ) from error
    except SlowError as error:
        raise DownloadError(
            f"{shown(source)} is too slow (less than {LEAST_RATE} bytes per second, or no response within "
            f"{PATIENCE:g} s); run the command again to continue"
        ) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise DownloadError(
                f"{shown(source)} cannot be reached within {PATIENCE:g} s; run the command again to continue"
            ) from error
        raise DownloadError(f"{shown(source)} cannot be reached: {_words(error.reason)}") from error
    except TimeoutError as error:
        raise DownloadError(
            f"{shown(source)} sent nothing for {TIMEOUT:g} s; run the command again to continue"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(f"{shown(source)} cannot be read: {_words(error)}") from error


def _words(reason: object) -> str:
    """Returns the reason given by the system or the server, in one line."""
    text = str(getattr(reason, "strerror", None) or reason)
    # The server may have written this text; it must not control a terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()) or type(reason).__name__
