"""The load generator against a server that notes what comes."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import pytest

from cmfl_export.bench.load import LoadError, Place, drive


class Server:
    """Answers each body with its length once `together` requests wait, or with what it was told to."""

    def __init__(self, together: int = 1, answer: bytes = b"") -> None:
        self.connections, self.heads = 0, list[str]()
        self._answer = answer
        self._full = asyncio.Barrier(together)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.partition("Content-Length: ")[2].split()[0])
                body = await reader.readexactly(length)
                self.heads.append(head)
                await self._full.wait()
                content = json.dumps({"length": len(body)}).encode()
                writer.write(
                    self._answer
                    or b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(content), content)
                )
                if self._answer:
                    break
        writer.close()


@contextmanager
def running(server: Server) -> Iterator[Place]:
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def run() -> None:
            async with await asyncio.start_server(server.serve, sock=listener):
                await ended.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
        thread.start()
        try:
            yield Place("127.0.0.1", listener.getsockname()[1], "/here")
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for number in range(6):
        (tmp_path / f"{number}").write_bytes(bytes(10 * number))
    return [str(tmp_path / f"{number}") for number in range(6)]


def test_every_image_is_sent_once_by_clients_at_the_same_time(files: list[str]) -> None:
    # No answer comes before three requests wait.
    server = Server(together=3)
    with running(server) as place:
        answers = drive(place, files, 3)
    assert sorted((each.number, each.content["length"]) for each in answers) == [
        (n, 10 * n) for n in range(6)
    ]
    assert server.connections == 3
    assert all(0 < each.seconds < 60 for each in answers)
    assert server.heads[0].startswith(f"POST /here HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\n")


def test_each_client_sends_one_at_least(files: list[str]) -> None:
    with running(Server()) as place:
        assert len(drive(place, cycle(files), 4, 0.0)) == 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nfull", "429 Too Many Requests: full"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nx", "the server left: "),
    ],
    ids=["refused", "left"],
)
def test_what_is_no_answer(files: list[str], answer: bytes, message: str) -> None:
    with running(Server(answer=answer)) as place, pytest.raises(LoadError, match=message):
        drive(place, files, 2)
