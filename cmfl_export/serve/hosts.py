"""The names that a server is asked by: a web page whose own name points at this machine has another one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_host(text: str) -> bool:
    """Whether it is a name or an address, with nothing around it; brackets of IPv6 are allowed."""
    try:
        IPv6Address(text.strip("[]"))
    except ValueError:
        return re.fullmatch(r"[\w-]+(\.[\w-]+)*", text) is not None
    return True


def host_of(header: str) -> str:
    """Returns the name or address in a `Host` header, without its port and in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def allowed(bound: str, given: Iterable[str], *, is_open: bool) -> frozenset[str] | None:
    """Returns the hosts that requests may name, or None for all.

    Where other machines reach the server, nobody knows by which names: all are allowed unless some are given.

    Args:
        bound: what the server listens on.
        given: those of the user, without ports.
        is_open: whether other machines reach the server.
    """
    names = [name.strip("[]").lower() for name in given]
    if is_open and not names:
        return None
    return frozenset((bound.lower(), *LOOPBACK, *names))
