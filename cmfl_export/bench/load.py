"""Asks a server as many clients at once: each sends an image, waits for its row, and sends the next."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

_REQUEST = (
    "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
)


class Place(NamedTuple):
    """Where images are sent to, and as what kind of content."""

    host: str
    port: int
    path: str = "/v1/predict?align=none"
    kind: str = "application/octet-stream"


class Answer(NamedTuple):
    """What a request gave.

    Attributes:
        number: place of the image in those that were given.
        seconds: from the first byte of the request to the last of the answer.
        content: the JSON of the answer.
    """

    number: int
    seconds: float
    content: dict[str, Any]


class LoadError(Exception):
    """An answer that is none; the message is one line."""


def drive(place: Place, images: Iterable[str], clients: int, seconds: float = math.inf) -> list[Answer]:
    """Sends images over one connection per client, each of which has one request at a time.

    Args:
        place: the server.
        images: paths, taken in turn by the clients; each client sends at least one if there are enough.
        clients: how many.
        seconds: after which no request is begun; by default the images come to an end.

    Returns:
        The answers in the order in which they came.

    Raises:
        LoadError: the server answered with an error, or left.
    """
    return asyncio.run(_drive(place, images, clients, seconds))


async def _drive(place: Place, images: Iterable[str], clients: int, seconds: float) -> list[Answer]:
    answers: list[Answer] = []
    turn = iter(enumerate(images))
    # All connect before the first asks.
    connections = [await asyncio.open_connection(place.host, place.port) for _ in range(clients)]
    end = time.perf_counter() + seconds

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, image in turn:
            body = Path(image).read_bytes()
            start = time.perf_counter()
            content = await _ask(place, reader, writer, body)
            now = time.perf_counter()
            answers.append(Answer(number, now - start, content))
            if now >= end:
                return

    try:
        await asyncio.gather(*(client(*connection) for connection in connections))
    except (OSError, EOFError) as error:
        raise LoadError(f"the server left: {error or type(error).__name__}") from error
    finally:
        for _, writer in connections:
            writer.close()
    return answers


async def _ask(
    place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
) -> dict[str, Any]:
    head = _REQUEST.format(**place._asdict(), length=len(body))
    writer.write(head.encode("ascii") + body)
    await writer.drain()
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    if status.split(" ")[1:2] != ["200"]:
        raise LoadError(f"the server answered {status}: {content.decode('utf-8', 'replace')[:200].strip()}")
    found: dict[str, Any] = json.loads(content)
    return found
