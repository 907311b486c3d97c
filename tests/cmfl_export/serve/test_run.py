"""The process: one request over a socket, the end, the token, and what cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cmfl_export import PackageError, UsageError
from cmfl_export.serve import TOKEN_VARIABLE, ServeOptions, serve
from tests.cmfl_export.command import CMFL, ENVIRONMENT, cmfl, the_error
from tests.cmfl_export.serve.servers import form

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def started(model: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says."""
    process = subprocess.Popen(
        [CMFL, "serve", str(model), "--port", "0", "--provider", "onnxruntime", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | environment,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", line := process.stderr.readline())
        assert found, line + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def accepts(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def test_a_request_in_flight_is_answered_before_the_end(tiny: Path, faces: Path) -> None:
    data = (faces / "b.png").read_bytes()
    with started(tiny) as (process, address):
        good = httpx.post(f"{address}/v1/predict", files=form(faces / "a.png"), timeout=60)
        assert [row["p_real"] for row in good.json()["results"]] == [0.2]
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(HEAD % len(data))
            # The server reads the body now, so the request has begun.
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            while accepts(host, int(port)):
                pass
            client.sendall(data)
            answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"p_real": 0.4' in answer
        stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, stdout) == (0, "")
        assert stderr == "ended: all requests that had begun are answered\n"


def test_a_second_signal_ends_at_once(tiny: Path) -> None:
    with started(tiny, "--deadline", "600") as (process, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(HEAD % 9)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 100")
            while process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
            assert process.returncode == 143


def test_a_port_that_is_taken(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = the_error(cmfl("serve", tiny, "--port", port))
    assert line == (
        f"cmfl: cannot listen on 127.0.0.1:{port}: Address already in use; give another --port or --host"
    )


def test_a_token_of_a_file_and_no_argument(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    with started(tiny, "--token-file", str(tmp_path / "token")) as (_, address):
        assert httpx.get(f"{address}/v1/model").status_code == 401
        right = {"authorization": "Bearer secret"}
        assert httpx.get(f"{address}/v1/model", headers=right).json()["provider"] == "cpu"
    assert "--token " not in cmfl("serve", "--help").stdout


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--port", "65536"], "the port must be within 0 and 65535, not 65536"),
            (["--max-queue", "0"], "max queue must be at least 1, not 0"),
            (["--max-wait-ms", "nan"], "max wait must be within 0 and 10000 ms, not nan"),
            (["--deadline", "0"], "the deadline must be above 0 and at most 3600 s, not 0.0"),
            (["--port", "0", "--face-scale", "9"], "the face scale must be within 0.2 and 2.0, not 9.0"),
            (["--allow-host", "http://x"], "'http://x' is no host; give a name or an address"),
            (["--allow-host", "x:80"], "'x:80' is no host"),
            (["--max-batch", "0"], "batch size must be at least 1, not 0"),
            (["--token-file", "absent"], "cannot read the token in absent: No such file or directory"),
            (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid:8000: "),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_are_checked(self, tiny: Path, options: list[str], message: str) -> None:
        assert message in the_error(cmfl("serve", tiny, *options))

    def test_a_model_that_is_none(self) -> None:
        assert "absent.onnx: no such model file" in the_error(cmfl("serve", "absent.onnx", "--port", "0"))

    @pytest.mark.parametrize("text", ["", " \n", "two words", "ü"])
    def test_a_token_that_is_none(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv(TOKEN_VARIABLE, text)
        with pytest.raises(UsageError, match="holds no token"):
            ServeOptions().token()

    def test_no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
        assert ServeOptions().token() is None

    @pytest.mark.parametrize(
        ("host", "is_open"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("10.0.0.1", True)]
    )
    def test_who_can_reach_it(self, host: str, is_open: bool) -> None:
        assert ServeOptions(host=host).is_open == is_open


def test_missing_packages(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cmfl_export.serve.")]:
        if name.rpartition(".")[2] in ("app", "http_server", "service"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(PackageError, match=re.escape("pip install 'cmfl-export[serve]'")):
        serve(os.fspath(tiny), ServeOptions(port=0), print)
