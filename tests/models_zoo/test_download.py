"""Downloads: whole and right, or not at all; and the way back to where they were cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from cmfl_export.base.errors import CmflError
from models_zoo import download as module
from models_zoo.download import download, read, shown
from tests.models_zoo.server import Server, serving

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "m.onnx").write_bytes(BODY)
    with serving(tmp_path / "root") as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "down" / "m.onnx"


def fetch(source: str | Path, target: Path, size: int = len(BODY), sha256: str = SHA) -> None:
    download(source, target, size, sha256)


def refused(source: str | Path, target: Path, expected: str, sha256: str = SHA) -> None:
    """The fetch fails with one line, and there is no file."""
    with pytest.raises(CmflError, match=expected) as caught:
        fetch(source, target, sha256=sha256)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def test_whole(web: Server, target: Path) -> None:
    fetch(f"{web.url}/m.onnx", target)
    assert target.read_bytes() == BODY
    assert not part(target).exists()
    fetch(f"{web.url}/m.onnx", target)
    assert len(web.requests) == 1


def test_from_a_folder(web: Server, target: Path) -> None:
    part(target).parent.mkdir(parents=True)
    part(target).write_bytes(BODY[:100])
    fetch(web.root / "m.onnx", target)
    assert target.read_bytes() == BODY
    target.unlink()
    refused(web.root / "absent.onnx", target, "absent.onnx cannot be read: No such file")


def test_goes_on_after_a_cut(web: Server, target: Path) -> None:
    web.cut_after = 300_000
    refused(f"{web.url}/m.onnx", target, rf"ended after 300000 of {len(BODY)} bytes; run the command again")
    assert part(target).read_bytes() == BODY[:300_000]
    refused(f"{web.url}/m.onnx", target, "ended after 600000 of")
    web.cut_after = None
    fetch(f"{web.url}/m.onnx", target)
    assert target.read_bytes() == BODY
    assert web.asked("m.onnx") == ["", "bytes=300000-", "bytes=600000-"]


@pytest.mark.parametrize("how", [{"ranges": False}, {"wrong_range": True}])
def test_servers_that_do_not_skip(web: Server, target: Path, how: dict[str, bool]) -> None:
    vars(web).update(how)
    part(target).parent.mkdir(parents=True)
    part(target).write_bytes(BODY[:1000])
    fetch(f"{web.url}/m.onnx", target)
    assert target.read_bytes() == BODY


def test_a_whole_part_needs_no_request(target: Path) -> None:
    part(target).parent.mkdir(parents=True)
    part(target).write_bytes(BODY)
    fetch("http://127.0.0.1:1/m.onnx", target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("junk", [b"other" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_the_beginning_of_another_file(web: Server, target: Path, junk: bytes) -> None:
    part(target).parent.mkdir(parents=True)
    part(target).write_bytes(junk)
    fetch(f"{web.url}/m.onnx", target)
    assert target.read_bytes() == BODY


def test_a_part_longer_than_what_the_server_has(web: Server, target: Path) -> None:
    (web.root / "m.onnx").write_bytes(BODY[:500])
    part(target).parent.mkdir(parents=True)
    part(target).write_bytes(BODY[:1000])
    refused(f"{web.url}/m.onnx", target, "ended after 500 of")


def test_another_file_than_promised(web: Server, target: Path) -> None:
    refused(f"{web.url}/m.onnx", target, f"its SHA-256 is {SHA}, not 0000", sha256="0" * 64)
    assert not part(target).exists()


def test_too_long_a_body(web: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    real = module._chunk

    def counted(*arguments: Any) -> bytes:
        taken.append(real(*arguments))
        return taken[-1]

    monkeypatch.setattr(module, "_chunk", counted)
    web.surplus = b"x" * 10_000_000
    refused(f"{web.url}/m.onnx", target, f"has more than the expected {len(BODY)} bytes")
    assert not part(target).exists()
    # It stops there, and does not read to the end.
    assert sum(map(len, taken)) <= len(BODY) + module._CHUNK


def test_an_older_file_is_replaced_only_by_the_right_one(web: Server, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    with pytest.raises(CmflError):
        fetch(f"{web.url}/m.onnx", target, sha256="0" * 64)
    assert target.read_bytes() == b"old"
    fetch(f"{web.url}/m.onnx", target)
    assert target.read_bytes() == BODY


def test_many_at_once(web: Server, target: Path) -> None:
    web.delay = 0.2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fetch(f"{web.url}/m.onnx", target), range(8)))
    assert target.read_bytes() == BODY
    assert len(web.requests) == 1


class TestRedirections:
    def test_within_http(self, web: Server, target: Path) -> None:
        web.redirect["/old.onnx"] = f"{web.url}/m.onnx"
        fetch(f"{web.url}/old.onnx", target)
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/m.onnx", "data:,x"])
    def test_out_of_the_web(self, web: Server, target: Path, to: str) -> None:
        web.redirect["/old.onnx"] = to
        refused(f"{web.url}/old.onnx", target, "old.onnx")

    def test_in_a_circle(self, web: Server, target: Path) -> None:
        web.redirect["/old.onnx"] = "/old.onnx"
        refused(f"{web.url}/old.onnx", target, "infinite loop")

    @pytest.mark.parametrize("to", ["http://a.org/m", "ftp://a.org/m"])
    def test_never_out_of_https(self, to: str) -> None:
        handler = module._Redirections("https://a.org/m", "", "")
        request = Request("https://a.org/old?token=secret")
        with pytest.raises(CmflError, match=r"https://a.org/old redirects to .*, from https to .*, which"):
            handler.redirect_request(request, None, 302, "", {}, to)

    def test_into_https(self) -> None:
        handler = module._Redirections("https://a.org/m", "", "")
        request = Request("http://a.org/old", headers={"Range": "bytes=5-"})
        new = handler.redirect_request(request, None, 302, "", {}, "https://a.org/new")
        assert new.full_url == "https://a.org/new"
        assert new.get_header("Range") == "bytes=5-"


class TestErrors:
    def test_not_there(self, web: Server, target: Path) -> None:
        refused(f"{web.url}/absent.onnx", target, "absent.onnx cannot be downloaded: 404 Not Found")

    def test_letters_that_steer_a_terminal(self, web: Server, target: Path) -> None:
        web.reason = "No\x1b[31m\tway"
        refused(f"{web.url}/absent.onnx", target, r"cannot be downloaded: 404 No \[31m way$")

    def test_nobody_there(self, target: Path) -> None:
        refused("http://127.0.0.1:1/m.onnx", target, "http://127.0.0.1:1/m.onnx cannot be reached: .*refused")

    def test_no_address(self, target: Path) -> None:
        refused("http://127.0.0.1:x/m.onnx", target, "cannot be read: nonnumeric port")

    def test_too_slow(self, web: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "TIMEOUT", 0.1)
        web.delay = 30.0
        refused(f"{web.url}/m.onnx", target, "sent nothing for 0.1 s; run the command again")

    @pytest.mark.parametrize("headers", [True, False])
    def test_a_byte_now_and_then(
        self, web: Server, target: Path, monkeypatch: pytest.MonkeyPatch, headers: bool
    ) -> None:
        """Headers, documents and weights: each byte comes in time, and all of them never."""
        web.drip, web.drip_headers = 0.02, headers
        monkeypatch.setattr(module, "PATIENCE", 0.4)
        monkeypatch.setattr(module, "RATE_SECONDS", 0.4)
        refused(f"{web.url}/m.onnx", target, "too slow .*; run the command again to continue")
        with pytest.raises(CmflError, match="too slow"):
            read(f"{web.url}/m.onnx", len(BODY))
        # Of a million bytes, or ten thousand of headers, in each of the two.
        assert web.dripped < 2000

    def test_what_came_slowly_is_kept(
        self, web: Server, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.drip = 0.02
        monkeypatch.setattr(module, "RATE_SECONDS", 1.0)
        refused(f"{web.url}/m.onnx", target, "too slow")
        kept = target.with_name(f"{target.name}.part").stat().st_size
        assert kept > 0
        web.drip = 0.0
        fetch(f"{web.url}/m.onnx", target)
        assert target.read_bytes() == BODY
        assert web.asked("m.onnx")[-1] == f"bytes={kept}-"

    def test_redirections_share_the_clock(
        self, web: Server, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        web.redirect["/old.onnx"] = "/m.onnx"
        refused(f"{web.url}/old.onnx", target, "too slow|within 0 s")

    def test_no_place(self, web: Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CmflError, match="cannot write"):
            fetch(f"{web.url}/m.onnx", tmp_path / "file" / "m.onnx")

    def test_small_files_have_a_limit(self, web: Server) -> None:
        assert read(f"{web.url}/m.onnx", len(BODY)) == BODY
        with pytest.raises(CmflError, match="has more than 10 bytes"):
            read(f"{web.url}/m.onnx", 10)

    def test_secrets_are_not_shown(self) -> None:
        assert shown("https://me:secret@a.org/m?token=secret#x") == "https://a.org/m"
