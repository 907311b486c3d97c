"""Forked processes: the threads that ONNX Runtime and OpenVINO compute on stay behind in the parent."""

from __future__ import annotations

import ctypes
import os
from typing import Any
from weakref import WeakSet

from .errors import ProviderError


class Native:
    """What can be used in no other process than that which made it.

    A run in a forked child would wait for threads that are not there, and taking it down would end the child
    by a signal. So the child keeps it, unused, as long as it lives.
    """

    def __init__(self, name: str, *parts: Any, remedy: str = "load it again in each process") -> None:
        """
        Args:
            name: of the model or library, to begin a sentence with.
            parts: the objects with the threads.
            remedy: what to do in a forked child.
        """
        self._name = name
        self._parts = parts
        self._remedy = remedy
        self._process = os.getpid()
        _all.add(self)

    def check(self) -> None:
        """
        Raises:
            CmflError: this process was forked from the one that made it.
        """
        if os.getpid() != self._process:
            raise ProviderError(
                f"{self._name}: loaded before this process was forked, and its threads stayed behind; "
                f"{self._remedy}, or start processes by multiprocessing's spawn or forkserver"
            )


_all: WeakSet[Native] = WeakSet()


def _keep_all() -> None:
    for native in list(_all):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)
