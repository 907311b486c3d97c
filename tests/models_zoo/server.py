"""A web server of a folder that can be told to misbehave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from threading import Thread
from time import sleep


@dataclass
class Server:
    """What it serves, how, and what it was asked for: the path and the Range of each request."""

    root: Path
    url: str = ""
    ranges: bool = True
    wrong_range: bool = False  # answers 206 with another part than asked for
    cut_after: int | None = None  # bytes of a body, of which more were announced
    surplus: bytes = b""  # after each body
    reason: str = "Not Found"  # of 404
    delay: float = 0.0  # seconds before a body
    drip: float = 0.0  # seconds before each byte of a body, and of the headers where `drip_headers`
    drip_headers: bool = False
    dripped: int = 0  # bytes that went out so
    redirect: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def asked(self, ending: str) -> list[str]:
        """The Range of each request for paths that end so."""
        return [asked for path, asked in self.requests if path.endswith(ending)]


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    server = Server(root)

    def drip(stream: BufferedIOBase, data: bytes) -> None:
        with suppress(ConnectionError):
            for byte in data:
                sleep(server.drip)
                stream.write(bytes([byte]))
                stream.flush()
                server.dripped += 1

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.requests.append((self.path, asked))
            if server.drip_headers:
                drip(self.wfile, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000)
                return
            if self.path in server.redirect:
                self.send_response(302)
                self.send_header("Location", server.redirect[self.path])
                self.end_headers()
                return
            path = root / self.path.partition("?")[0].lstrip("/")
            if not path.is_file():
                self.send_error(404, server.reason)
                return
            body = path.read_bytes() + server.surplus
            start = re.fullmatch(r"bytes=(\d+)-", asked) if server.ranges else None
            first = 0 if start is None or server.wrong_range else int(start[1])
            if start is not None and first >= len(body):
                self.send_error(416)
                return
            self.send_response(200 if start is None else 206)
            if start is not None:
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - first))
            self.end_headers()
            sleep(server.delay)
            with suppress(ConnectionError):  # who asked may have had enough
                if server.drip:
                    drip(self.wfile, body[first:])
                else:
                    self.wfile.write(body[first:][: server.cut_after])

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{web.server_address[1]}"
    Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
