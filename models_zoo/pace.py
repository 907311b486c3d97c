"""Limits the time of a web request, also for a server that sends a byte now and then."""

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
    """The time by which the next byte must come.

    Args:
        seconds: time from now on.
        silence: longest time without a byte.
    """

    def __init__(self, seconds: float, silence: float) -> None:
        self._silence = silence
        self.restart(seconds)

    def restart(self, seconds: float) -> None:
        """Gives `seconds` from now on."""
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Returns the seconds that the next byte may take.

        Raises:
            SlowError: no time is left.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise SlowError
        return min(left, self._silence)

    def handlers(self) -> tuple[HTTPHandler, HTTPSHandler]:
        """Returns handlers for `urllib.request.build_opener` that read everything by this clock."""
        return _Http(self), _Https(self)


class _ByClock:
    """The part of a handler that holds the clock of its connections."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock


class _Http(_ByClock, HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        # do_open is annotated for a class, but calls any function that makes a connection.
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
        # This stream keeps the connection open after urllib closes the socket.
        self._stream = connected.makefile("rb", buffering=0)
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._clock.left())
        try:
            return self._stream.readinto(buffer)
        except TimeoutError:
            self._clock.left()  # raises SlowError if the clock, not the silence, was the limit
            raise

    def close(self) -> None:
        self._stream.close()
        super().close()
