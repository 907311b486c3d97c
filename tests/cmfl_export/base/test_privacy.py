"""Nothing calls home and nothing is left behind: sockets and look-ups are refused and recorded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from cmfl_export.base import privacy
from cmfl_export.runtime import providers
from tests.cmfl_export.command import CMFL
from tests.training import short_networks
from training import model
from training.config import TrainConfig
from training.weights import save_weights

# Refuses and records what Python itself asks of the network, in child processes as well.
HOOK = """
import os, sys
def _refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{event} {args[-1]!r} {args!r}\\n")
        raise OSError("no network in this test")
sys.addaudithook(_refuse)
"""
# The same for native code.
NATIVE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
static void record(const char *what, const char *name) {
    FILE *calls = fopen(getenv("CALLS"), "a");
    if (calls) { fprintf(calls, "%s %s\n", what, name ? name : ""); fclose(calls); }
}
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)
{ record("getaddrinfo", n); return EAI_FAIL; }
struct hostent *gethostbyname(const char *n) { record("gethostbyname", n); return 0; }
int connect(int fd, const struct sockaddr *a, socklen_t l)
{ if (a->sa_family == AF_UNIX) { errno = ENOENT; return -1; }
  record("connect", "inet"); errno = ENETUNREACH; return -1; }
ssize_t sendto(int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l)
{ if (a && a->sa_family != AF_UNIX) { record("sendto", "inet"); } errno = ENETUNREACH; return -1; }
"""


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process that is watched: fresh folders for all that a library might write to."""
    for name in ("home", "cache", "tmp", "hook", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(HOOK)
    root = Path(__file__).parents[3]
    environment = {
        key: value
        for key, value in os.environ.items()
        if key
        not in (privacy.ORT_VARIABLE, privacy.VARIABLE, "CI", "TF_BUILD", "JENKINS_URL", "MPLCONFIGDIR")
    } | {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home/xdg"),
        "XDG_CONFIG_HOME": str(tmp_path / "home/config"),
        "TMPDIR": str(tmp_path / "tmp"),
        "CMFL_CACHE": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "hook"), str(root)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler and sys.platform == "linux":
        source, library = tmp_path / "native.c", tmp_path / "native.so"
        source.write_text(NATIVE)
        made = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=False)
        if made.returncode == 0:
            environment["LD_PRELOAD"] = str(library)
    return environment


def leave_no_trace(
    arguments: list[str], environment: dict[str, str], command: Sequence[str] = (CMFL,)
) -> None:
    done = subprocess.run(
        [*command, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nothing_was_left(environment)


def nothing_was_left(environment: dict[str, str]) -> None:
    calls = Path(environment["CALLS"])
    assert not calls.exists(), calls.read_text()
    for name in ("HOME", "TMPDIR"):
        assert [str(path) for path in Path(environment[name]).rglob("*")] == []


@pytest.mark.parametrize("provider", ["onnxruntime", "openvino"])
def test_predict(provider: str, watched: dict[str, str], photographs: list[Path], tmp_path: Path) -> None:
    if provider == "openvino" and not providers.has_openvino():
        pytest.skip("OpenVINO is not installed")
    output = str(tmp_path / "scores.csv")
    given = ["starter:int8", *map(str, photographs), "--provider", provider, "-o", output]
    leave_no_trace(["predict", *given], watched)


def test_export(watched: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "make_trunk", short_networks.make_trunk)
    weights = tmp_path / "w.safetensors"
    save_weights(model.CmflNet(), weights, TrainConfig(protocol="p", data_root="."))
    arguments = ["export", str(weights), "-o", str(tmp_path / "m.onnx")]
    leave_no_trace(arguments, watched, (sys.executable, short_networks.__file__))


def test_bench(watched: dict[str, str], tmp_path: Path) -> None:
    quick = ["--rounds", "1", "--seconds", "0.1", "--no-peers", "-o", str(tmp_path / "bench.json")]
    leave_no_trace(["bench", "starter:int8", *quick], watched)


def test_serve(watched: dict[str, str], faces: Path) -> None:
    with subprocess.Popen(
        [CMFL, "serve", "starter:int8", "--port", "0", "--deadline", "600"],
        env=watched,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        address = re.search(r"http://\S+", process.stderr.readline())
        try:
            assert address
            answer = httpx.post(
                f"{address[0]}/v1/predict", files=[("files", (faces / "a.png").open("rb"))] * 2, timeout=600
            )
            # Kept on the disk by many form parsers.
            large = httpx.post(f"{address[0]}/v1/predict", content=bytes(8 << 20), timeout=600)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert [row["status"] for row in answer.json()["results"]] == ["ok", "ok"]
    assert large.json()["results"][0]["status"] == "not_an_image"
    nothing_was_left(watched)


def test_the_watch_sees_what_it_should(watched: dict[str, str]) -> None:
    look_up = "import socket\ntry: socket.create_connection(('cmfl.invalid', 80))\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", look_up], env=watched, check=True)
    assert "cmfl.invalid" in Path(watched["CALLS"]).read_text()


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(privacy.VARIABLE, raising=False)
    monkeypatch.delenv(privacy.ORT_VARIABLE, raising=False)
    privacy.silence_onnxruntime()
    assert privacy.onnxruntime_is_silent()
    monkeypatch.setenv(privacy.ORT_VARIABLE, "0")
    privacy.silence_onnxruntime()
    assert not privacy.onnxruntime_is_silent()
    monkeypatch.delenv(privacy.ORT_VARIABLE)
    monkeypatch.setenv(privacy.VARIABLE, "1")
    privacy.silence_onnxruntime()
    assert privacy.ORT_VARIABLE not in os.environ


def test_clusters_of_ray_report_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, wanted in (({}, "0"), ({privacy.RAY_VARIABLE: "1"}, "1"), ({privacy.VARIABLE: "1"}, None)):
        monkeypatch.setattr(os, "environ", dict(given))
        privacy.silence_ray()
        assert os.environ.get(privacy.RAY_VARIABLE) == wanted
