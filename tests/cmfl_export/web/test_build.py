"""Building a page: one whole file, the same each time, and errors of one line."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tarfile
from pathlib import Path

import pytest

from cmfl_export.base.errors import DownloadError, ModelError, ProviderError, UsageError
from cmfl_export.faces import mtcnn
from cmfl_export.web import build_page, webassembly
from tests.cmfl_export.command import cmfl


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder that looks like the npm package; its files are no program."""
    folder = tmp_path / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.2.3"}')
    for file in webassembly._FILES:
        (folder / file).write_bytes(file.name.encode() * 100)
    return folder


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither the package nor npm; the folder is searched for programs."""
    programs, cache = tmp_path / "programs", tmp_path / "cache"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("CMFL_CACHE", str(cache))
    monkeypatch.delenv("CMFL_ONNXRUNTIME_WEB", raising=False)
    monkeypatch.chdir(tmp_path)
    return programs


def test_the_same_inputs_give_the_same_bytes(tiny: Path, small: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    built = [build_page(tiny, page, small) for page in pages]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert built[0].size == pages[0].stat().st_size
    assert built[0].lines() == [
        f"{pages[0]}: {built[0].size / 1e6:.1f} MB, tiny (fp32), onnxruntime-web 1.2.3; open it in a browser"
    ]
    text = pages[0].read_text()
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert "https:" not in text


def test_the_command_says_what_the_page_lacks(
    tiny: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cmfl("web", tiny, "-o", tmp_path / "a.html", "--runtime", small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'a.html'}: ")
    monkeypatch.setattr(mtcnn, "PACKAGE", "not-installed")
    (_, reason) = build_page(tiny, tmp_path / "b.html", small).lines()
    assert reason.startswith("It does not look for faces: finding faces (not-installed) needs packages")
    assert "part-pnet" in (tmp_path / "a.html").read_text()
    assert "part-pnet" not in (tmp_path / "b.html").read_text()


def test_what_is_refused(tiny: Path, small: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the page is written to \.html"):
        build_page(tiny, tmp_path / "page.txt", small)
    with pytest.raises(ModelError, match="no such model file"):
        build_page(tmp_path / "no.onnx", tmp_path / "page.html", small)
    with pytest.raises(ProviderError, match="is not the folder of the npm package"):
        build_page(tiny, tmp_path / "page.html", tmp_path)
    (small / webassembly._WASM).unlink()
    with pytest.raises(
        ProviderError, match=r"has no dist/ort-wasm-simd-threaded\.wasm; to fix it: npm install"
    ):
        build_page(tiny, tmp_path / "page.html", small)
    assert list(tmp_path.glob("*.html")) == []


def test_without_the_package_and_npm(tiny: Path, nothing: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ProviderError, match=r"there is no npm to fetch it; to fix it: install Node\.js with npm"
    ):
        build_page(tiny, tmp_path / "page.html")


def npm_of(folder: Path, script: str) -> None:
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="npm is a shell script here")
def test_npm_fetches_the_pinned_version_once(
    tiny: Path, small: Path, nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "packed.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(small, "package")
    small.rename(tmp_path / "gone")
    log = tmp_path / "log"
    # With no program but those of the shell itself on PATH.
    fetch = f'echo "$@" >> {log}; for last; do :; done; /bin/cp {archive} "${{last#*=}}/package.tgz"'
    npm_of(nothing, fetch)
    page = tmp_path / "page.html"
    with pytest.raises(DownloadError, match="not the published one"):
        build_page(tiny, page)
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    monkeypatch.setattr(webassembly, "INTEGRITY", f"sha512-{digest}")
    assert build_page(tiny, page).runtime == f"onnxruntime-web {webassembly.VERSION}"
    calls = log.read_text().splitlines()
    assert len(calls) == 2
    assert calls[1].startswith(f"pack onnxruntime-web@{webassembly.VERSION} ")
    build_page(tiny, page)
    assert len(log.read_text().splitlines()) == 2
    (kept,) = (tmp_path / "cache").glob("*.tgz")
    kept.write_bytes(b"damaged")
    build_page(tiny, page)
    assert len(log.read_text().splitlines()) == 3


@pytest.mark.skipif(os.name == "nt", reason="npm is a shell script here")
def test_npm_fails(tiny: Path, nothing: Path, tmp_path: Path) -> None:
    npm_of(nothing, "echo 'npm error code ENOTFOUND' >&2; echo 'npm error getaddrinfo ENOTFOUND' >&2; exit 1")
    with pytest.raises(
        DownloadError, match=r"npm cannot fetch .*: npm error getaddrinfo ENOTFOUND; to fix it"
    ):
        build_page(tiny, tmp_path / "page.html")
