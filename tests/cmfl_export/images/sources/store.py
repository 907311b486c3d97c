"""An S3 server on this machine, and a proxy before it that makes trouble."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

_HOP = ("connection", "transfer-encoding", "content-length", "date", "server")


class Store:
    """A bucket, whose requests go through `trouble`.

    Attributes:
        fails: by a part of the path, the statuses of the next answers; the last stays if it is repeated.
        requests: the method and path of each request.
        delay: seconds before each answer.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self.bucket = bucket
        self.fails: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.delay = 0.0
        self._client = client

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, data: bytes) -> str:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return self.url(key)

    def get(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def keys(self) -> list[str]:
        return [
            entry["Key"] for entry in self._client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        ]

    def uploads(self) -> int:
        return len(self._client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))


@contextmanager
def server() -> Iterator[str]:
    """The address of an S3 server."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    try:
        yield f"{host}:{port}"
    finally:
        moto.stop()


@contextmanager
def bucket(address: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A new bucket; the variables of the store's client lead to it through a proxy."""
    for variable in ("http_proxy", "HTTP_PROXY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    secrets = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "very-secret"}
    for variable, value in {**secrets, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(variable, value)
    client = boto3.client("s3", endpoint_url=f"http://{address}")
    client.create_bucket(Bucket=name)
    store = Store(client, name)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store, address))
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    try:
        yield store
    finally:
        proxy.shutdown()
        proxy.server_close()


def _handler(store: Store, address: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            store.requests.append(f"{self.command} {self.path}")
            if store.delay:
                time.sleep(store.delay)
            status, headers, data = self._trouble() or self._asked(body)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _trouble(self) -> tuple[int, dict[str, str], bytes] | None:
            for part, statuses in store.fails.items():
                if part in self.path and statuses:
                    status = statuses.pop(0)
                    text = f"<Error><Code>{_CODES[status]}</Code><Message>very-secret</Message></Error>"
                    return status, {"Content-Type": "application/xml"}, text.encode()
            return None

        def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(address, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), data

        def log_message(self, format: str, *args: Any) -> None:
            pass

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)
    return Handler


_CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
