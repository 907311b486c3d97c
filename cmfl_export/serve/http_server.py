"""The HTTP server, uvicorn, with settings that do not depend on what else is installed."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from .protocol import TimedProtocol

# Seconds after the deadline of the last request until an answer that nobody reads is dropped.
_FAREWELL = 5


class HttpServer(uvicorn.Server):
    """uvicorn without signal handlers of its own."""

    def __init__(self, app: ASGIApp, *, deadline: float, backlog: int) -> None:
        """Configures the server.

        Args:
            app: the application.
            deadline: seconds that a request takes at most.
            backlog: connections that wait to be accepted.
        """
        # It reports every damaged request, and what the guard has reported already.
        for name in ("uvicorn", "python_multipart"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                app,
                http=TimedProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=backlog,
                timeout_graceful_shutdown=math.ceil(deadline) + _FAREWELL,
            )
        )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Captures none: `base.interrupts` does."""
        yield

    def end(self) -> None:
        """Accepts no more requests, and ends when those that have begun are answered."""
        self.should_exit = True
