"""Connections whose request does not come are closed; others are not touched."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cmfl_export.serve.http_server import HttpServer
from cmfl_export.serve.protocol import TimedProtocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def talk(*parts: bytes) -> bytes:
    """All that a connection gives until the server closes it, which gets a next part after each answer."""

    async def conversation() -> bytes:
        app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("fine"))])
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            server = HttpServer(app, deadline=1, backlog=8)
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found = b""
            async with asyncio.timeout(60):
                for part in parts[:-1]:
                    writer.write(part)
                    found += await reader.readuntil(b"fine")
                writer.write(parts[-1])
                found += await reader.read()
                writer.close()
                server.end()
                await serving
        return found

    return asyncio.run(conversation())


@pytest.mark.parametrize("begun", [b"", b"GET / HTT"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.2)
    assert talk(begun) == b""


def test_the_second_head_is_timed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.2)
    assert talk(GET, b"GET / HTT").count(b"200 OK") == 1


def test_answers_do_not_wait_for_an_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    begin = TimedProtocol.data_received

    def look(self: TimedProtocol, data: bytes) -> None:
        connection = self.transport.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        begin(self, data)

    monkeypatch.setattr(TimedProtocol, "data_received", look)
    talk(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert found
    assert all(found)


def test_requests_on_one_connection_are_answered() -> None:
    assert talk(GET, GET, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).count(b"200 OK") == 3
