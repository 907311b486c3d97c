"""A process of Node that answers requests, and whose end is an error and never a wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from ..base.errors import ProviderError

# A batch of many images takes minutes on a slow machine; what takes longer than this has hung.
LONGEST_ANSWER = 1200.0
_LENGTH = 4  # bytes of a header's length
_MOST_HEADER_BYTES = 1 << 20
_SHOWN = 300  # characters of what Node said
_GOODBYE = 10.0  # seconds from the end of its output to the end of the process
_AGAIN = "load the model again"


class NodeProcess:
    """A script in Node, which gives one answer to each request. Safe to share between threads.

    A request and an answer are the length of a header (uint32, little-endian), the header (JSON) and as many
    bytes as its field `bytes` says. The process ends when this object is collected or Python ends.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        """Starts the process.

        Args:
            name: begins each error.
            arguments: the script and its arguments.

        Raises:
            ProviderError: Node does not start.
        """
        self._name = name
        self._lock = threading.Lock()
        self._answered = False
        self._ended = ""  # the error of all later requests
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that nobody reads would fill up
        try:
            self._process = subprocess.Popen(
                ["node", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
            )
        except OSError as error:
            self._said.close()
            raise ProviderError(f"{name}: Node.js does not start: {error.strerror}") from error
        weakref.finalize(self, _end, self._process, self._said, os.getpid())

    def ask(self, header: dict[str, Any], content: bytes | memoryview) -> tuple[dict[str, Any], bytes]:
        """Sends a request; returns the header and the bytes of the answer.

        Raises:
            ProviderError: the script answered with an error, or with something else than an answer, or has
                ended.
        """
        with self._lock:
            if self._ended:
                raise ProviderError(self._ended)
            try:
                answer, found = self._exchange(header, content)
            except BaseException as error:  # a later answer could be the one to this request
                self._process.kill()
                known = isinstance(error, ProviderError)
                self._ended = str(error) if known else f"{self._name}: a run was interrupted; {_AGAIN}"
                raise
            self._answered = True
        if "error" in answer:
            text = " ".join(str(answer["error"]).split())[:_SHOWN]
            raise ProviderError(f"{self._name} failed: {text}")
        return answer, found

    def _exchange(self, header: dict[str, Any], content: bytes | memoryview) -> tuple[dict[str, Any], bytes]:
        hung, process = threading.Event(), self._process

        def end() -> None:  # without self, which the clock's thread would keep for a moment longer
            hung.set()
            process.kill()

        clock = threading.Timer(LONGEST_ANSWER, end)
        clock.daemon = True
        clock.start()
        try:
            text = json.dumps(header | {"bytes": len(content)}).encode()
            self._send(len(text).to_bytes(_LENGTH, "little") + text, content)
            return self._receive()
        except (OSError, EOFError) as error:
            why = self._last_words()
            if hung.is_set():
                why = f"no answer within {LONGEST_ANSWER:g} s"
            remedy = _AGAIN if self._answered else "a current release of Node.js may be needed"
            raise ProviderError(f"{self._name}: {why}; {remedy}") from error
        finally:
            clock.cancel()

    def _send(self, *parts: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        for part in parts:
            self._process.stdin.write(part)
        self._process.stdin.flush()

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        start = self._read(_LENGTH)
        length = int.from_bytes(start, "little")
        text = self._read(length) if length <= _MOST_HEADER_BYTES else start
        try:
            answer = json.loads(text)
            count = int(answer["bytes"])
            if count < 0:  # would read to the end
                raise ValueError(count)
        except (ValueError, TypeError, KeyError) as error:
            raise ProviderError(
                f"{self._name}: Node answered with something else than a result: {text[:40]!r}; "
                "its script prints nothing else, so install onnxruntime-web again"
            ) from error
        return answer, self._read(count)

    def _read(self, count: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(count)
        if len(found) < count:
            raise EOFError
        return found

    def _last_words(self) -> str:
        """How the process ended, with the last line of its standard error that tells an error."""
        try:
            code = self._process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "Node closed its pipes"
        self._said.seek(0)
        text = self._said.read().decode("utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        said = (errors or lines or [""])[-1][:_SHOWN]
        ending = f"with exit code {code}" if code >= 0 else f"by {_signal_name(-code)}"
        if code == -9:
            ending += ", perhaps for lack of memory"
        return f"Node ended {ending}" + (f": {said}" if said else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(process: subprocess.Popen[bytes], said: IO[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a forked child, whose parent still uses the process
        return
    process.kill()
    for pipe in (process.stdin, process.stdout, said):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()
