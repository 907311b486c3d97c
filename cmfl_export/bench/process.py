"""Starts the process of a contender (see `worker`), sends it requests, and survives its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

from ..base.cache import cache_folder
from .contenders import Contender

# Loading may compile for minutes; what takes longer than this has hung.
LONGEST_ANSWER = 1200.0
_LONGEST_GOODBYE = 10.0


class ContenderError(Exception):
    """The reason why a contender has no figure, in one line."""


class Worker:
    """The process of one contender, to be used in a `with` block, whose end ends the process.

    Args:
        contender: what it measures.
        threads: CPU threads; None leaves the choice to the libraries.
    """

    def __init__(self, contender: Contender, threads: int | None) -> None:
        self._contender = contender
        environment = os.environ.copy()
        # torch.compile keeps its files with our other caches, not in the temporary folder.
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
        if threads is not None:
            environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cmfl_export.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # Closing its standard input ends it, and with it the processes that it has started.
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_LONGEST_GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def load(self, given: dict[str, Any]) -> dict[str, Any]:
        """Loads the contender; returns its facts, see `Engine.about`.

        Args:
            given: arguments of every engine beside its own options: `threads`, `images`, `compared`.

        Raises:
            ContenderError: it does not load.
        """
        return self._ask({"kind": self._contender.kind, "options": self._contender.options | given})

    def measure(self, measure: str, seconds: float) -> dict[str, Any]:
        """Returns `worker.timed` of one measure, after a warm-up the first time.

        Raises:
            ContenderError: it does not run.
        """
        return self._ask({"measure": measure, "seconds": seconds})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise ContenderError("its process has no pipes")
        hung = threading.Event()

        def end() -> None:
            hung.set()
            self._process.kill()

        clock = threading.Timer(LONGEST_ANSWER, end)
        clock.daemon = True
        clock.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            clock.cancel()
        if hung.is_set():
            raise ContenderError(f"no answer within {LONGEST_ANSWER:g} s")
        if not line:
            raise ContenderError(f"its process ended ({_ending(self._process.wait())})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer


def _ending(code: int) -> str:
    if code == -9:
        return "killed; perhaps for lack of memory"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
