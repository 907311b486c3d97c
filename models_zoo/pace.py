"""A clock on a web request: a server that sends a byte now and then is not waited for without end."""

from __future__ import annotations

import io
import socket
import time
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, Request


class SlowError(TimeoutError):
    """The clock has run out."""


class Clock:
    """When the next byte must have come.

    Args:
        seconds: from now on.
        silence: seconds without a byte, at most.
    """

    def __init__(self, seconds: float, silence: float) -> None:
        self._silence = silence
        self.restart(seconds)

    def restart(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that the next byte may take.

        Raises:
            SlowError: none.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise SlowError
        return min(left, self._silence)

    def handlers(self) -> tuple[HTTPHandler, HTTPSHandler]:
        """For `urllib.request.build_opener`: they read headers, redirections and bodies by this clock."""
        return _Http(self), _Https(self)


class _ByClock:
    """What a handler has besides urllib's: the clock that its connections read by."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock


class _Http(_ByClock, HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        # What it calls makes the connection; the annotation knows classes alone.
        connect: Any = partial(_ClockedConnection, self._clock)
        return self.do_open(connect, req)


class _Https(_ByClock, HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        connect: Any = partial(_ClockedTlsConnection, self._clock)
        return self.do_open(connect, req)


class _ClockedConnection(HTTPConnection):
    """A connection, plain or with TLS, whose answer is read by the clock."""

    def __init__(self, clock: Clock, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._clock = clock

    def connect(self) -> None:
        self._clock.left()
        super().connect()
        self.sock: Any = _Timed(self.sock, self._clock)


class _ClockedTlsConnection(_ClockedConnection, HTTPSConnection):
    """The same over TLS."""


class _Timed:
    """A connected socket whose file is read by the clock."""

    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        self._socket = connected
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._clock))


class _TimedReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        self._socket = connected
        # It keeps the connection open when the socket is closed, as urllib does.
        self._stream = connected.makefile("rb", buffering=0)
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._clock.left())
        try:
            return self._stream.readinto(buffer)
        except TimeoutError:
            self._clock.left()  # which of both limits it was
            raise

    def close(self) -> None:
        self._stream.close()
        super().close()
