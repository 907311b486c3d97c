"""The options of a server, with their defaults and limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .hosts import is_host

TOKEN_VARIABLE = "CMFL_SERVE_TOKEN"
_MOST_TOKEN_BYTES = 4096
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The options of a server, checked when they are made.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        max_wait_ms: how long an image waits for others of its batch, in milliseconds.
        max_queue: images that are decoded, wait or run at one time; more are answered with 429.
        max_files: images in one request.
        max_body_mb: size of the body of one request, in MiB.
        max_held_mb: size of the bodies of all requests at one time, in MiB.
        deadline: seconds from the head of a request to its answer; what takes longer is answered with 503.
        token_file: a file with the token that requests have to bring; None takes the environment variable
            `TOKEN_VARIABLE`. Without both, everybody may ask.
        allow_hosts: more names by which requests may ask for the server, without ports. A server on loopback
            answers by its address and as localhost; one that other machines reach answers by every name
            unless some are given.
        allow_origins: origins of web pages that may read the answers, such as "https://example.org".
        detector: how the model runs; its batch size is the largest batch. `align` "auto" is for
            requests that say nothing about faces; None takes the images as they are.

    Raises:
        UsageError: an option is out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_wait_ms: float = 5.0
    max_queue: int = 256
    max_files: int = 64
    max_body_mb: int = 64
    max_held_mb: int = 1024
    deadline: float = 30.0
    token_file: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    detector: DetectorOptions = field(default_factory=DetectorOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"the port must be within 0 and 65535, not {self.port}")
        for name in ("max_queue", "max_files", "max_body_mb", "max_held_mb"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")
        # Written so that a NaN fails.
        if not 0 <= self.max_wait_ms <= 10_000:
            raise UsageError(f"max wait must be within 0 and 10000 ms, not {self.max_wait_ms}")
        if not 0 < self.deadline <= 3600:
            raise UsageError(f"the deadline must be above 0 and at most 3600 s, not {self.deadline}")
        for host in self.allow_hosts:
            if not is_host(host):
                raise UsageError(f"{host!r} is no host; give a name or an address, without http:// and port")
        if self.detector.align in ("all", "largest"):
            raise UsageError("each request says for itself whether faces are looked for; leave align out")

    @property
    def is_open(self) -> bool:
        """Whether other machines may reach the server."""
        return not self.host.startswith(_LOOPBACK)

    def token(self) -> str | None:
        """Returns the token that requests have to bring, or None.

        Raises:
            UsageError: the file cannot be read, or what should be a token is empty or not ASCII.
        """
        if self.token_file is None:
            source, text = f"the variable {TOKEN_VARIABLE}", os.environ.get(TOKEN_VARIABLE)
            if text is None:
                return None
        else:
            source = str(self.token_file)
            try:
                with self.token_file.open("rb") as stream:
                    text = stream.read(_MOST_TOKEN_BYTES).decode("latin-1")
            except OSError as error:
                raise UsageError(f"cannot read the token in {source}: {error.strerror}") from error
        token = text.strip()
        if not (token and token.isascii() and token.isprintable()) or " " in token:
            raise UsageError(f"{source} holds no token; a token is printable ASCII without spaces")
        return token
