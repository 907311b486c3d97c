"""What every request passes: host and token, the counters, and one line for what went wrong."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..base.errors import CmflError
from .answers import answer, refusal
from .hosts import host_of
from .limits import RefusedError
from .service import Service

# What a service manager or a load balancer asks, by whatever name, needs no token.
_FREE = ("/livez", "/readyz")
# The page has no secret, and asks for the token.
_WITHOUT_TOKEN = ("/",)
_CLIENT_LEFT = 499  # of nginx; nobody gets this answer
_log = logging.getLogger("cmfl")


class Guard:
    """Checks the host and the token, counts the request, and answers unexpected errors."""

    def __init__(self, app: ASGIApp, service: Service, routes: Collection[str]) -> None:
        """Wraps an application.

        Args:
            app: the application.
            service: has the hosts, the token and the counters.
            routes: the paths that are counted by name.
        """
        self._app = app
        self._service = service
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        exchange = _Exchange(scope, receive, send)
        try:
            refused = self._objection(scope)
            if refused is not None:
                await refusal(refused)(scope, exchange.receive, exchange.send)
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.code = exchange.code or _CLIENT_LEFT
        except Exception as error:
            known = isinstance(error, CmflError)
            text = str(error) if known else f"internal error, please report it: {error!r}"
            _log.error("cmfl: %s: %s", scope["path"], " ".join(text.split()))
            if not exchange.code:
                said = {"error": "the model failed to run" if known else "internal error"}
                await answer(said, 500)(scope, exchange.receive, exchange.send)
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            self._service.metrics.count_request(
                route, exchange.code or _CLIENT_LEFT, time.monotonic() - start
            )

    def _objection(self, scope: Scope) -> RefusedError | None:
        if scope["path"] in _FREE:
            return None
        headers, token, hosts = Headers(scope=scope), self._service.token, self._service.hosts
        if hosts is not None and host_of(headers.get("host", "")) not in hosts:
            return RefusedError(421, "this server has another name; --allow-host gives it more")
        if token is None or scope["path"] in _WITHOUT_TOKEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("ascii"))
        return (
            None
            if right and scheme.lower() == "bearer"
            else RefusedError(401, "the token is missing or wrong")
        )


class _Exchange:
    """A request and its answer. The connection is closed after an answer that did not wait for the body.

    Attributes:
        code: of the answer; 0 before it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.code = 0
        self._receive = receive
        self._send = send
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self._has_more = length != "0" or "transfer-encoding" in headers

    async def receive(self) -> Message:
        message = await self._receive()
        self._has_more = bool(message.get("more_body", False)) and self._has_more
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            if self._has_more:
                MutableHeaders(scope=message)["connection"] = "close"
        await self._send(message)
