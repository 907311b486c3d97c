"""The page with its own detector in a real browser: the rows of Python, and nothing leaves it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from cmfl_export import Detector
from cmfl_export.images import Status
from cmfl_export.web import build_page
from tests.cmfl_export.web import inputs
from tests.cmfl_export.web.conftest import LocalPage
from tests.conftest import picture

NAMES = ("p_real", "p_real_rgb", "p_real_spectrum")


@pytest.fixture
def opened(local: LocalPage, page: Path) -> LocalPage:
    local.open(page)
    assert local.trouble == ""
    return local


def test_the_rows_are_those_of_python(opened: LocalPage, pictured: Path, tmp_path: Path) -> None:
    """Every pixel of the model's input, so every score, heatmap and spectrum, and every status."""
    sound = inputs.write(inputs.sound(), tmp_path)
    faulty = inputs.write(inputs.faulty(), tmp_path)
    refused = inputs.write(inputs.refused(), tmp_path)
    detector = Detector(pictured, provider="onnxruntime")
    rows = dict(zip(paths := [*sound, *faulty, *refused], opened.rows(paths), strict=True))
    for path, expected in zip(sound, detector.predict(list(sound), extras=True), strict=True):
        row = rows[path]
        assert (row["status"], row["error"], row["decision"]) == ("ok", "", expected.decision), path.name
        np.testing.assert_array_equal(row["crop"], expected.extras["image"], path.name)
        np.testing.assert_allclose([row[name] for name in NAMES], [getattr(expected, n) for n in NAMES], atol=1e-6)
        for name in ("heatmap_rgb", "heatmap_spectrum"):
            np.testing.assert_allclose(row[name], expected.extras[name].ravel(), rtol=1e-5)
        grey = (expected.extras["spectrum"].mean(axis=0) + 1) * 127.5
        assert np.abs(row["spectrum"][..., 0] - grey).max() < 0.51
    for path, expected in zip(faulty, detector.predict(list(faulty)), strict=True):
        assert rows[path]["status"] == expected.status, path.name
        assert rows[path]["decision"] is rows[path]["p_real"] is rows[path]["crop"] is None
        if expected.status is not Status.UNREADABLE:
            assert rows[path]["error"] == expected.error, path.name
    for path in refused:
        assert rows[path]["status"] == "unsupported", path.name
    assert opened.browser.complaints() == []
    assert opened.browser.requests() == []
    assert set(opened.browser.texts("#count-images")) == {str(len(paths))}


@pytest.mark.parametrize(("variant", "tolerance"), [("starter", 1e-5), ("starter:int8", 1e-3)])
def test_the_starter_scores_as_in_python(
    variant: str, tolerance: float, local: LocalPage, photographs: list[Path], tmp_path: Path, package: Path
) -> None:
    files = photographs[:2]
    local.open(build_page(variant, tmp_path / "page.html", package).path)
    assert local.trouble == ""
    assert "starter" in local.browser.one("#running").text
    expected = Detector(variant, provider="onnxruntime").predict(list(files))
    for row, right in zip(local.rows(files), expected, strict=True):
        np.testing.assert_allclose(
            [row[name] for name in NAMES], [getattr(right, name) for name in NAMES], atol=tolerance
        )


def test_wrong_scores_of_a_browser_refuse_it(local: LocalPage, page: Path, tmp_path: Path) -> None:
    """As a backend would look that misses the golden scores."""
    text = page.read_text()
    changed = re.sub(r'("p_real_spectrum":\[[\d.]+,)[\d.]+', r"\g<1>0.75", text)
    assert changed != text
    (tmp_path / "page.html").write_text(changed)
    local.open(tmp_path / "page.html")
    assert re.fullmatch(
        r"This browser computes wrong scores, .* \(self-test picture 2: p_real_spectrum is 0\.\d+ and must be 0\.7500\)\."
        r" Another browser may help\.",
        local.trouble,
    )
    assert not local.browser.one("#intake").is_displayed()


def test_a_damaged_page_says_so(local: LocalPage, page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    start = text.index('id="part-wasm"')
    (tmp_path / "page.html").write_text(text[: start + 5000] + text[start + 5400 :])
    local.open(tmp_path / "page.html")
    assert local.trouble.startswith("This page is damaged")


def test_cancel_and_go_on(opened: LocalPage, tmp_path: Path) -> None:
    files = inputs.write({f"{n:03d}.jpg": b"no image" for n in range(3000)}, tmp_path)
    opened.browser.run("""
      const more = new MutationObserver(() => document.getElementById("cancel").click());
      more.observe(document.getElementById("done"), { childList: true });
      setTimeout(() => more.disconnect(), 1);
    """)
    opened.give(files[:3000])
    opened.until(lambda: not opened.browser.one("#progress").is_displayed())
    assert opened.count() < 3000
    opened.browser.run(
        "window.heard = []; document.getElementById('cancel').click(); document.getElementById('clear').click()"
    )
    assert [row["status"] for row in opened.rows(files[:3])] == ["not_an_image"] * 3


class Listener(HTTPServer):
    """Counts requests."""

    asked: list[str]


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, Listener)
            self.server.asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = Listener(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# Every way out that a script has, in the page and in a Worker.
_TRY = """
  const [port, done] = arguments;
  const address = (name) => `http://127.0.0.1:${port}/${name}`;
  const ways = `async (address) => {
    const said = [];
    const tried = async (name, way) => said.push(name + ": " + await way().then(() => "went out", () => "refused"));
    await tried("fetch", () => fetch(address("fetch")));
    await tried("no-cors", () => fetch(address("no-cors"), { method: "POST", mode: "no-cors", body: "x" }));
    await tried("socket", () => new Promise((go, stop) => {
      const socket = new WebSocket(address("socket").replace("http", "ws"));
      socket.onopen = go;
      socket.onerror = stop;
    }));
    await tried("events", () => new Promise((go, stop) => {
      const events = new EventSource(address("events"));
      events.onopen = go;
      events.onerror = stop;
    }));
    await tried("request", () => new Promise((go, stop) => {
      const request = new XMLHttpRequest();
      request.open("GET", address("request"));
      request.onload = go;
      request.onerror = stop;
      request.send();
    }));
    return said;
  }`;
  const inPage = async (address) => {
    const said = [];
    const tried = async (name, way) => said.push(name + ": " + await way().then(() => "went out", () => "refused"));
    const loads = (element, name) => new Promise((go, stop) => {
      element.onload = go;
      element.onerror = stop;
      element[name] = address(element.localName);
      document.body.append(element);
    });
    await tried("fetch", () => fetch(address("page-fetch")));
    await tried("image", () => loads(document.createElement("img"), "src"));
    await tried("script", () => loads(document.createElement("script"), "src"));
    navigator.sendBeacon(address("beacon"), "x");
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    await tried("sheet", () => loads(sheet, "href"));
    return said;
  };
  const code = `const ways = ${ways}; onmessage = async ({ data }) => {
    const said = await ways((name) => "http://127.0.0.1:" + data + "/" + name);
    try { importScripts("http://127.0.0.1:" + data + "/import"); said.push("import: went out"); }
    catch { said.push("import: refused"); }
    postMessage(said);
  }`;
  inPage(address).then((said) => {
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => done([...said, ...data]);
    worker.onerror = (event) => done([...said, event.message]);
    worker.postMessage(port);
  });
"""


def test_no_way_out(opened: LocalPage, listener: Listener) -> None:
    driver = opened.browser.driver
    policy = opened.browser.one("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-inline" not in policy
    driver.set_script_timeout(30)
    said = driver.execute_async_script(_TRY, listener.server_port)
    assert len(said) == 10
    assert {each.split(": ")[1] for each in said} == {"refused"}
    assert listener.asked == []
    assert len(opened.browser.complaints()) >= 10
