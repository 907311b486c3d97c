"""Forked processes, which do not get the computing threads of ONNX Runtime and OpenVINO."""

from __future__ import annotations

import ctypes
import os
from typing import Any
from weakref import WeakSet

from .errors import ProviderError


class Native:
    """Guards objects of a native library that only the process that made them can use.

    In a forked child, a run would wait for threads that do not exist, and freeing the objects would end the
    child by a signal. So a child keeps them, unused, until it ends.
    """

    def __init__(self, name: str, *parts: Any, remedy: str = "load it again in each process") -> None:
        """Registers the objects of this process.

        Args:
            name: the model or library; begins the error.
            parts: the objects that own threads.
            remedy: what the error advises to do in a forked child.
        """
        self._name = name
        self._parts = parts
        self._remedy = remedy
        self._process = os.getpid()
        _all.add(self)

    def check(self) -> None:
        """Checks that this is the process that made the objects.

        Raises:
            ProviderError: this process was forked from that one.
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
