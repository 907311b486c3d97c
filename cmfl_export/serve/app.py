"""The routes: from a request to one call of the service, and from its result to a response."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..base.options import Align
from .answers import answer, refusal
from .guard import Guard
from .limits import RefusedError, read_images
from .metrics import CONTENT_TYPE
from .page import page_response
from .pictures import KINDS, VALUES, lacking
from .service import Service

T = TypeVar("T")
_ALIGN: dict[str, Align | None] = {"auto": "auto", "all": "all", "largest": "largest", "none": None}


def build(service: Service) -> Starlette:
    """Returns the ASGI application of a service."""
    routes = [
        Route("/", _page),
        Route("/v1/predict", _predict, methods=["POST"]),
        Route("/v1/model", _model),
        Route("/openapi.json", _document),
        Route("/metrics", _metrics),
        Route("/livez", _livez),
        Route("/readyz", _readyz),
    ]
    middleware = [Middleware(Guard, service=service, routes=[route.path for route in routes])]
    if service.options.allow_origins:
        # Outside: a browser asks for leave without the token.
        cors = Middleware(
            CORSMiddleware,
            allow_origins=service.options.allow_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )
        middleware.insert(0, cors)
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={RefusedError: _refused, HTTPException: _no_such},
    )
    app.state.service = service
    app.state.page = page_response(service)
    return app


async def _predict(request: Request) -> Response:
    service = _service(request)
    align, pictures, values = _asked(request, service)
    end = asyncio.get_running_loop().time() + service.options.deadline
    service.scorer.check_room()
    service.store.check_length(request.headers.get("content-length"))
    with service.store.room() as take:
        try:
            async with asyncio.timeout_at(end):
                content_type = request.headers.get("content-type", "")
                uploads = await read_images(content_type, request.stream(), take, service.most_files)
        except TimeoutError as error:
            raise RefusedError(408, "the body came too slowly") from error
        work = service.scorer.records(uploads, align, pictures, values)
        return answer({"results": await _before(end, request, work)})


async def _before(end: float, request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of the work, which is cancelled at the deadline and when the client leaves."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_until_gone(request))
    try:
        seconds = max(0.0, end - asyncio.get_running_loop().time())
        await asyncio.wait((task, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientDisconnect
        raise RefusedError(503, "not done before the deadline", retry=True)
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _asked(request: Request, service: Service) -> tuple[Align | None, list[str], list[str]]:
    """Returns `align`, `pictures` and `values` of the query."""
    query = request.query_params
    unknown = set(query) - {"align", "pictures", "values"}
    if unknown:
        raise RefusedError(400, f"no parameter {min(unknown)[:60]!r}; there are: align, pictures, values")
    align = query.get("align", "auto")
    if align not in _ALIGN:
        raise RefusedError(400, f"align must be one of: {', '.join(_ALIGN)}")
    pictures, values = (
        [kind for text in query.getlist(name) for kind in text.split(",")] for name in ("pictures", "values")
    )
    if not set(pictures) <= set(KINDS):
        raise RefusedError(400, f"pictures must be of: {', '.join(KINDS)}")
    if not set(values) <= set(VALUES):
        raise RefusedError(400, f"values must be: {', '.join(VALUES)}")
    missing = lacking(service.scorer.detector.card, [*pictures, *values])
    if missing:
        raise RefusedError(400, f"this model has no {' and no '.join(missing)} among its outputs")
    return _ALIGN[align], pictures, values


async def _page(request: Request) -> Response:
    page: Response = request.app.state.page
    return page


async def _model(request: Request) -> Response:
    return answer(_service(request).model())


async def _document(request: Request) -> Response:
    return answer(_service(request).document())


async def _metrics(request: Request) -> Response:
    return Response(_service(request).metrics.text(), headers={"content-type": CONTENT_TYPE})


async def _livez(_: Request) -> Response:
    return answer({"live": True})


async def _readyz(request: Request) -> Response:
    ready = _service(request).ready
    return answer({"ready": True}) if ready else answer({"error": "not ready"}, 503)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal(error, after=_service(request).seconds_to_empty())


async def _no_such(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer({"error": error.detail.lower()}, error.status_code, **(error.headers or {}))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
