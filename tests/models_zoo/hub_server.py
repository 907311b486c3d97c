"""A hub on loopback that answers like Hugging Face, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40


@dataclass
class Hub:
    """One repository `owner/model` with the files of a folder; weights are in Git LFS and on another host."""

    root: Path
    url: str = ""
    cdn: str = ""  # the same server by another name
    revisions: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("main", "v1", "refs/pr/1"), COMMIT)
    )
    token: str = ""  # that every request to the hub needs
    code: int = 401  # without it
    lfs: bool = True
    sums: dict[str, str] = field(default_factory=dict)  # wrong SHA-256 in the headers
    sizes: dict[str, str] = field(default_factory=dict)  # wrong sizes in the headers
    answers_for: str = ""  # another commit in the headers
    listed: list[str] = field(default_factory=list)  # more names in the list of files
    redirect: str = ""  # of downloads, in place of the CDN
    answer: str = ""  # in place of the list of files
    moved: bool = False  # the API answers at another path of the same host
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Authorization

    def asked(self, method: str, part: str) -> list[str]:
        """The Authorization of each request whose path has this part."""
        return [token for verb, path, token in self.requests if verb == method and part in path]


@contextmanager
def hub_of(root: Path) -> Iterator[Hub]:
    hub = Hub(root)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_GET(self) -> None:
            self._answer("GET")

        def _answer(self, method: str) -> None:
            authorization = self.headers.get("Authorization", "")
            hub.requests.append((method, self.path, authorization))
            path = self.path.partition("?")[0]
            if path.startswith("/cdn/"):
                self._send((hub.root / unquote(path[5:])).read_bytes(), {})
                return
            if hub.token and authorization != f"Bearer {hub.token}":
                self.send_error(hub.code)
                return
            start = "/moved/" if hub.moved else "/api/"
            if hub.moved and path.startswith("/api/"):
                self._redirect(path.replace("/api/", "/moved/", 1), {})
            elif path.startswith(f"{start}models/owner/model/revision/"):
                self._list(unquote(path.rpartition("/")[2]))
            elif path.startswith("/owner/model/resolve/"):
                revision, _, file = path.removeprefix("/owner/model/resolve/").partition("/")
                self._resolve(method, unquote(revision), unquote(file))
            else:
                self.send_error(404)

        def _list(self, revision: str) -> None:
            commit = hub.revisions.get(revision) or (revision if revision == COMMIT else "")
            if not commit:
                self.send_error(404)
                return
            names = sorted(str(path.relative_to(hub.root)) for path in hub.root.rglob("*") if path.is_file())
            siblings = [{"rfilename": name} for name in [*names, *hub.listed]]
            answer = hub.answer or json.dumps({"id": "owner/model", "sha": commit, "siblings": siblings})
            self._send(answer.encode(), {})

        def _resolve(self, method: str, revision: str, file: str) -> None:
            path = hub.root / file
            commit = hub.revisions.get(revision, revision)
            if commit not in (COMMIT, OTHER_COMMIT) or not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            headers = {"x-repo-commit": hub.answers_for or commit}  # as proxies write it
            if hub.lfs and file.endswith(".onnx"):
                sha256 = hub.sums.get(file) or hashlib.sha256(body).hexdigest()
                headers |= {
                    "X-Linked-Etag": f'"{sha256}"',
                    "X-Linked-Size": hub.sizes.get(file) or str(len(body)),
                }
                self._redirect(hub.redirect or f"{hub.cdn}/cdn/{file}", headers)
            else:
                blob = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False)
                headers["ETag"] = f'"{blob.hexdigest()}"'
                self._send(b"" if method == "HEAD" else body, headers)

        def _redirect(self, target: str, headers: dict[str, str]) -> None:
            self.send_response(302)
            for name, value in {**headers, "Location": target, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{web.server_address[1]}"
    hub.cdn = f"http://localhost:{web.server_address[1]}"
    Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        web.shutdown()
        web.server_close()
