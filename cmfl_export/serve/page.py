"""`GET /`: the page that sends images to this server."""

from __future__ import annotations

from starlette.responses import Response

from ..report import source
from ..web import render_page
from .service import Service

_FORM_BYTES = 64 * 1024  # what a form adds to its images, generously
# The page has no secrets: with a token set, it asks the user for it. No other site may frame it.
_POLICY = {
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


def page_response(service: Service) -> Response:
    """Returns the page, which is the same for everybody."""
    page = render_page(
        "Detection of synthetic faces",
        "ServerDetector",
        [source("web/page/server_detector.js")],
        {
            "server": True,
            "token": service.token is not None,
            "most_files": service.most_files,
            "most_bytes": service.store.most_each - _FORM_BYTES,
        },
        _POLICY,
        policy_in_page=False,
    )
    return Response(
        "".join(page.pieces),
        media_type="text/html",
        headers={
            "Cache-Control": "no-cache",
            "Content-Security-Policy": page.policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )
