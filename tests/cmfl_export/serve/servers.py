"""Services on the tiny model, and requests to them inside one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from cmfl_export import Detector
from cmfl_export.serve.app import build
from cmfl_export.serve.options import ServeOptions
from cmfl_export.serve.service import Service

T = TypeVar("T")
Form = list[tuple[str, tuple[str, bytes]]]


class Gate:
    """Stands before a model: holds batches until it opens, and counts their images."""

    def __init__(self, detector: Detector) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.images: list[int] = []
        self._run = detector.outputs_of

    def __call__(
        self, batch: NDArray[np.uint8], *, extras: bool, low_latency: bool
    ) -> dict[str, NDArray[np.float32]]:
        self.reached.set()
        assert self.opened.wait(60)
        self.images.append(len(batch))
        return self._run(batch, extras=extras, low_latency=low_latency)


def service(model: Path, token: str | None = None, **options: Any) -> Service:
    detector = Detector(model, provider="onnxruntime", workers=2)
    return Service(detector, ServeOptions(**{"max_wait_ms": 0.0} | options), token)


def form(*files: Path) -> Form:
    return [("files", (file.name, file.read_bytes())) for file in files]


def ask(served: Service, talk: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """What the conversation with a service gives."""

    async def conversation() -> T:
        transport = httpx.ASGITransport(build(served))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            try:
                return await talk(client)
            finally:
                served.close()

    return asyncio.run(conversation())


def post(served: Service, query: str = "", **request: Any) -> httpx.Response:
    return ask(served, lambda client: client.post(f"/v1/predict{query}", **request))


def get(served: Service, path: str, **request: Any) -> httpx.Response:
    return ask(served, lambda client: client.get(path, **request))


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.reached.wait, 60)


async def until(true: Callable[[], bool]) -> None:
    """Gives the other tasks their turn until it holds."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.001)


async def chunks(total: int, given: list[int], size: int = 1 << 16) -> AsyncIterator[bytes]:
    """A body in pieces; `given` gets the size of each one that was taken."""
    for start in range(0, total, size):
        given.append(min(size, total - start))
        yield bytes(given[-1])
