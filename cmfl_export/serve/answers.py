"""Responses in JSON."""

from __future__ import annotations

import json

from starlette.responses import Response

from .limits import RefusedError


def answer(content: object, code: int = 200, **headers: str) -> Response:
    """Returns a response that no cache keeps."""
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(json.dumps(content), code, always | headers, media_type="application/json")


def refusal(error: RefusedError, *, after: int = 1) -> Response:
    """Returns the response to a request that is refused; `after` is in how many seconds it may succeed."""
    headers = {"Retry-After": str(after)} if error.retry else {}
    if error.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return answer({"error": error.message}, error.code, **headers)
