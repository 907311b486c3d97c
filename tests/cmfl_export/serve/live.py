"""A server in a thread of this process, on a free port, for clients that need a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cmfl_export.serve.app import build
from cmfl_export.serve.http_server import HttpServer
from cmfl_export.serve.service import Service


@dataclass
class Live:
    """The address of the server, with a slash at its end, and a way to end it."""

    address: str
    server: HttpServer
    thread: threading.Thread

    def end(self) -> None:
        self.server.end()
        self.server.force_exit = True
        self.thread.join(30)


@contextmanager
def listening(served: Service) -> Iterator[Live]:
    """Runs the server until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(build(served), deadline=served.options.deadline, backlog=16)
        run = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        run.start()
        live = Live(f"http://127.0.0.1:{listener.getsockname()[1]}/", server, run)
        try:
            yield live
        finally:
            live.end()
            served.close()
