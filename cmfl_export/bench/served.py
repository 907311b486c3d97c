"""`cmfl serve` as a contender: a server in a process of its own, asked over loopback by this one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from itertools import cycle
from typing import Any

from .contenders import clients_of
from .engine import Unit
from .load import LoadError, Place, drive

# The server ends when this process does, whatever ends it: its standard input is closed then.
_COMMAND = """
import os, signal, sys, threading
def end():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end, daemon=True).start()
from cmfl_export.cli import main
main()
"""
_TOKEN = "CMFL_SERVE_TOKEN"
_COMPARING_CLIENTS = 8
_LOOK_SECONDS = 0.05


class Served:
    """A server with an exported model. Starts it, and scores the first images once.

    Args:
        model, provider, threads: see `Detector`.
        images: paths.
        compared: number of images whose scores are compared.
    """

    def __init__(
        self, model: str, provider: str, threads: int | None, images: Sequence[str], compared: int
    ) -> None:
        options = ["--provider", provider, *([] if threads is None else ["--threads", str(threads)])]
        # Nothing is refused, as it is speed that is measured.
        options += ["--port", "0", "--max-queue", "65536", "--deadline", "3600"]
        self._server = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "serve", model, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={name: value for name, value in os.environ.items() if name != _TOKEN},
        )
        self._place = self._started()
        self._turn = cycle(images)
        answers = sorted(drive(self._place, images[:compared], _COMPARING_CLIENTS))
        self._scores = [row["p_real"] for answer in answers for row in answer.content["results"]]

    def about(self) -> dict[str, Any]:
        _, found = self._get("/v1/model")
        return {"provider": found["provider"], "threshold": found["threshold"], "scores": self._scores}

    def unit(self, measure: str, seconds: float) -> Unit:
        clients = clients_of(measure)
        return lambda: [answer.seconds for answer in drive(self._place, self._turn, clients, seconds)]

    def _started(self) -> Place:
        """Returns where the server is, as soon as its model has warmed up."""
        said = ""
        for line in self._server.stderr or ():
            said += line
            found = re.search(r" at http://(.+):(\d+)$", line.rstrip())
            if found:
                break
        else:
            raise LoadError(" ".join(said.split()).removeprefix("cmfl: ") or "the server ended")
        self._place = Place(found[1], int(found[2]))
        while self._get("/readyz")[0] != 200:
            time.sleep(_LOOK_SECONDS)
        return self._place

    def _get(self, path: str) -> tuple[int, Any]:
        connection = HTTPConnection(self._place.host, self._place.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.load(answer)
        finally:
            connection.close()
