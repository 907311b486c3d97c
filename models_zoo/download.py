"""Downloads files from a mirror or an address, and keeps only those with the expected size and SHA-256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
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


@dataclass(frozen=True)
class Pulled:
    """Weights that were pulled.

    Attributes:
        path: the weights on this machine.
        source: where they came from, "" if they were already here.
        what: the model, its variant and its size, as text.
        pin: which address will always mean these weights, if the given one will not; else "".
    """

    path: Path
    source: str
    what: str
    pin: str = ""

    def lines(self) -> list[str]:
        """The result as text."""
        origin = f"from {self.source}" if self.source else "already here"
        return [f"{self.what}: {origin}, SHA-256 checked: {self.path}", *([self.pin] if self.pin else [])]


def download(source: Path | str, target: Path, size: int, sha256: str, *, token: str = "") -> None:
    """Downloads a file, continuing an interrupted download in `target`.part.

    The file appears under its name only after its content has been checked. If several processes download the
    same file, one does so and the others wait.

    Args:
        source: a file, or an https or http address. Redirections from https to anything else are refused.
        target: the file to write.
        size, sha256: of the expected content; at most `size` bytes are read.
        token: sent to the host of the source, and to no other where it redirects to one.

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
            found = _fetch(source, part, size, token)
            if found != sha256 and resumed:
                # The part may be the beginning of another file.
                part.unlink()
                found = _fetch(source, part, size, token)
            if found != sha256:
                part.unlink()
                raise DownloadError(
                    f"{shown(source)} is not the expected file: its SHA-256 is {found}, "
                    f"not {sha256}; nothing was kept"
                )
            sync(part)
            part.replace(target)


def read(source: Path | str, most: int, *, token: str = "") -> bytes:
    """Returns the content of a small file; `token` as in `download`.

    Raises:
        DownloadError: it cannot be read, or has more than `most` bytes.
    """
    with _opened(source, 0, token) as (stream, _, _), _reading(source):
        data: bytes = stream.read(most + 1)
    if len(data) > most:
        raise DownloadError(f"{shown(source)} has more than {most} bytes, so it is not the expected file")
    return data


def headers(url: str, name: str, *, token: str = "") -> Message:
    """Returns the headers that an address answers HEAD with.

    Args:
        url: https or http.
        name: a header. Redirections are followed within the host, up to a response that has it.
        token: as in `download`.

    Raises:
        DownloadError: it cannot be read.
    """
    clock = Clock(PATIENCE, TIMEOUT)
    with _reading(url):
        try:
            with _request(url, 0, clock, token, until=name) as response:
                found: Message = response.headers
                return found
        except HTTPError as error:
            if not 300 <= error.code < 400:
                raise
            return error.headers


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists and has this content."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def shown(source: Path | str) -> str:
    """Returns an address for messages, without user name, password and query, which may be secret."""
    if isinstance(source, Path):
        return str(source)
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _fetch(source: Path | str, part: Path, size: int, token: str) -> str:
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
        with _opened(source, done, token) as (stream, start, clock):
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
        raise DownloadError(f"{shown(source)} has more than the expected {size} bytes; nothing was kept")
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
def _opened(source: Path | str, start: int, token: str) -> Iterator[tuple[Any, int, Clock]]:
    """Opens a source at byte `start`, or at 0 if the server cannot skip.

    Gives the stream, the byte that it starts at, and the clock that limits its reading.
    """
    clock = Clock(PATIENCE, TIMEOUT)
    with _reading(source):
        if isinstance(source, Path):
            stream: Any = source.open("rb")
            stream.seek(start)
        else:
            stream = _request(source, start, clock, token)
            if start and not _starts_at(stream, start):
                # The server returned another part or none, so the whole file is requested.
                if stream.status != 200:
                    stream.close()
                    stream = _request(source, 0, clock, token)
                start = 0
    with stream:
        yield stream, start, clock


def _request(url: str, start: int, clock: Clock, token: str, until: str = "") -> Any:
    """Opens an address at byte `start`, or with `until` asks for its headers alone, see `headers`."""
    request = Request(url, method="HEAD" if until else "GET")
    request.add_header("User-Agent", f"cmfl-export/{own_version()}")
    request.add_header("Accept-Encoding", "identity")
    if start:
        request.add_header("Range", f"bytes={start}-")
    redirections = _Redirections(url, token, until)
    redirections.authorise(request)
    try:
        return build_opener(redirections, *clock.handlers()).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _request(url, 0, clock, token)
        raise


def _starts_at(response: Any, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status == 206 and found is not None and int(found[1]) == start


class _Redirections(HTTPRedirectHandler):
    """Follows redirections to https, and from http to http; knows which host the token is for."""

    def __init__(self, url: str, token: str, until: str) -> None:
        self._host = urlsplit(url)[:2]
        self._token = token
        self._until = until

    def authorise(self, request: Request) -> None:
        """Adds the token to a request to the first host, with the first scheme and port."""
        if self._token and urlsplit(request.full_url)[:2] == self._host:
            # Of the two kinds of headers, the one that urllib does not copy to where it is redirected.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if self._until and (self._until in headers or urlsplit(newurl)[:2] != self._host):
            return None
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new != "https" and (old, new) != ("http", "http"):
            raise DownloadError(
                f"{shown(req.full_url)} redirects to {shown(newurl)}, from {old} to {new}, which is not safe"
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()
            self.authorise(request)
        return request


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
