"""A server among clients that break, leave and send rubbish: the next good request gets its score."""

from __future__ import annotations

import random
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cmfl_export.serve.servers import form
from tests.cmfl_export.serve.test_run import started

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """At its end it has said nothing but that it ended."""
    with started(tiny, "--max-queue", "8") as (process, address):
        yield process, address
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "ended: all requests that had begun are answered\n")


def score(address: str, faces: Path) -> list[float]:
    answer = httpx.post(f"{address}/v1/predict", files=form(faces / "a.png"), timeout=60)
    return [row["p_real"] for row in answer.json()["results"]]


def mutated(rng: random.Random, body: bytes) -> bytes:
    """The body with some bytes changed, left out, doubled, or without its end."""
    data = bytearray(body)
    for _ in range(rng.choice((1, 2, 8))):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[place : place + 1] = rng.randbytes(1)
            case 1:
                del data[place : place + rng.randrange(100)]
            case 2:
                data[place:place] = data[: rng.randrange(200)]
            case 3:
                del data[place:]
    return bytes(data)


def test_mutated_bodies(server: tuple[subprocess.Popen[str], str], faces: Path) -> None:
    _, address = server
    rng = random.Random(0)
    image = (faces / "b.png").read_bytes()
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n%s\r\n' % image
    kinds = {"image/png": image, "multipart/form-data; boundary=x": 2 * part + b"--x--\r\n"}
    with httpx.Client(base_url=address, timeout=60) as client:
        codes = set()
        for _ in range(150):
            for kind, body in kinds.items():
                answer = client.post(
                    "/v1/predict", content=mutated(rng, body), headers={"content-type": kind}
                )
                codes.add(answer.status_code)
    assert codes == {200, 400}
    assert score(address, faces) == [0.2]


def test_clients_that_leave_in_mid_upload(server: tuple[subprocess.Popen[str], str], faces: Path) -> None:
    _, address = server
    place = (address.removeprefix("http://").split(":")[0], int(address.rpartition(":")[2]))
    for _ in range(20):
        with socket.create_connection(place, timeout=60) as client:
            client.sendall(HEAD % 1_000_000 + bytes(1000))
            # The connection is reset, as that of a killed process can be.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert score(address, faces) == [0.2]
    metrics = httpx.get(f"{address}/metrics").text
    assert re.search(r"^cmfl_queue_images 0\.0$", metrics, re.M)


def test_more_clients_than_there_is_room_for(server: tuple[subprocess.Popen[str], str], faces: Path) -> None:
    _, address = server
    with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(32) as threads:
        files = form(*[faces / "a.png"] * 4)
        answers = list(threads.map(lambda _: client.post("/v1/predict", files=files), range(96)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    for answer in answers:
        if answer.status_code == 200:
            assert [row["p_real"] for row in answer.json()["results"]] == [0.2] * 4
        else:
            assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert score(address, faces) == [0.2]
