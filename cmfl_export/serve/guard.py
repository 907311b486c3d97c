"""What every request passes: the token, the counters, and one line for what went wrong."""

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
from .limits import RefusedError
from .service import Service

# What a service manager or a load balancer asks needs no token, nor does the page, which asks for it.
_FREE = ("/", "/livez", "/readyz")
_CLIENT_LEFT = 499  # of nginx; nobody gets this answer
_log = logging.getLogger("cmfl")


class Guard:
    """Checks the token, counts the request, and answers unexpected errors."""

    def __init__(self, app: ASGIApp, service: Service, routes: Collection[str]) -> None:
        """Wraps an application.

        Args:
            app: the application.
            service: has the token and the counters.
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
            if not self._may_pass(scope):
                await refusal(RefusedError(401, "the token is missing or wrong"))(
                    scope, exchange.receive, exchange.send
                )
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

    def _may_pass(self, scope: Scope) -> bool:
        token = self._service.token
        if token is None or scope["path"] in _FREE:
            return True
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("ascii"))
        return right and scheme.lower() == "bearer"


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
