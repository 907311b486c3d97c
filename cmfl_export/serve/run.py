"""Runs a server until it is asked to end (`cmfl serve`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..base import interrupts
from ..base.errors import UsageError, need
from ..detector import Detector
from .options import TOKEN_VARIABLE, ServeOptions

if TYPE_CHECKING:
    from .http_server import HttpServer
    from .service import Service

_BACKLOG = 2048


def serve(model: str | None, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Scores images over HTTP until a signal comes; requests that have begun are answered before the end.

    Args:
        model: the ONNX file, or a name of the zoo; the starter by default.
        options: where and how to serve.
        say: takes lines for the user; the first comes when requests are accepted.

    Raises:
        UsageError: the address cannot be used, or there should be a token and there is none.
        ModelError, ProviderError: the model cannot be used.
        PackageError: the packages for serving are missing.
    """
    try:
        from .app import build
        from .http_server import HttpServer
        from .service import Service
    except ImportError as error:
        raise need("serve", "cmfl serve") from error
    token = options.token()
    with _listening(options) as listener:
        detector = Detector(model, options.detector)
        service = Service(detector, options, token)
        server = HttpServer(build(service), deadline=options.deadline, backlog=_BACKLOG)
        for line in _start_lines(detector, options, listener, token):
            say(line)
        asyncio.run(_serve(server, service, listener))
    say("ended: all requests that had begun are answered")


async def _serve(server: HttpServer, service: Service, listener: socket.socket) -> None:
    def end() -> None:
        service.ready = False
        server.end()

    def end_if_broken(warm_up: asyncio.Task[None]) -> None:
        if not warm_up.cancelled() and warm_up.exception() is not None:
            end()

    with interrupts.asking(end):
        warm_up = asyncio.create_task(service.warm_up())
        warm_up.add_done_callback(end_if_broken)
        await server.serve([listener])
    service.close()
    if warm_up.done():
        warm_up.result()
    warm_up.cancel()


@contextmanager
def _listening(options: ServeOptions) -> Iterator[socket.socket]:
    """Gives a socket that listens, so that a taken port is known before the model is loaded."""
    address = f"{options.host}:{options.port}"
    try:
        family, place = _resolved(options.host, options.port)
        listener = socket.create_server(place, family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        # `create_server` adds the address to the reason.
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise UsageError(f"cannot listen on {address}: {reason}; give another --port or --host") from error
    with listener:
        yield listener


def _resolved(host: str, port: int) -> tuple[int, tuple[str, int]]:
    """Returns the family and the address of a host; an address is not looked up."""
    try:
        version = ip_address(host).version
    except ValueError:
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return family, (str(place[0]), port)
    return (socket.AF_INET6 if version == 6 else socket.AF_INET), (host, port)


def _start_lines(
    detector: Detector, options: ServeOptions, listener: socket.socket, token: str | None
) -> Iterator[str]:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    card = detector.card
    yield f"{card.name} ({card.precision}) on {detector.provider} at http://{shown}:{port}"
    if detector.passed_over:
        yield detector.passed_over
    if options.is_open and token is None:
        yield (
            "anybody who reaches this machine may ask: there is no token; give --token-file or set "
            f"{TOKEN_VARIABLE}"
        )
