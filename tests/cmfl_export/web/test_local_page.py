"""The page with its own detector in a real browser: the rows of Python, and nothing leaves it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmfl_export import Detector
from cmfl_export.images import Status
from cmfl_export.web import build_page
from tests.cmfl_export.web import inputs
from tests.cmfl_export.web.conftest import LocalPage

NAMES = ("p_real", "p_real_rgb", "p_real_spectrum")


def scores(row: dict[str, Any]) -> list[float]:
    return [row[name] for name in NAMES]


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
    detector = Detector(pictured, provider="onnxruntime", align=None)
    paths = [*sound, *faulty, *refused]
    rows = dict(zip(paths, opened.rows(paths), strict=True))
    for path, expected in zip(sound, detector.predict(list(sound), extras=True), strict=True):
        row = rows[path]
        assert (row["status"], row["error"], row["decision"]) == ("ok", "", expected.decision), path.name
        np.testing.assert_array_equal(row["crop"], expected.extras["image"], path.name)
        np.testing.assert_allclose(
            [row[name] for name in NAMES], [getattr(expected, n) for n in NAMES], atol=1e-6
        )
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


def test_the_starter_scores_as_in_python(
    local: LocalPage, photographs: list[Path], tmp_path: Path, package: Path
) -> None:
    files = photographs[:2]
    local.open(build_page("starter:int8", tmp_path / "page.html", package).path)
    assert local.trouble == ""
    assert "starter" in local.browser.one("#running").text
    expected = Detector("starter:int8", provider="onnxruntime", align=None).predict(list(files))
    for row, right in zip(local.rows(files), expected, strict=True):
        np.testing.assert_allclose(scores(row), [getattr(right, name) for name in NAMES], atol=1e-2)


def test_wrong_scores_of_a_browser_refuse_it(local: LocalPage, page: Path, tmp_path: Path) -> None:
    """As a backend would look that misses the golden scores."""
    text = page.read_text()
    changed = re.sub(r'("p_real_spectrum":\[[\d.]+,)[\d.]+', r"\g<1>0.75", text)
    assert changed != text
    (tmp_path / "page.html").write_text(changed)
    local.open(tmp_path / "page.html")
    assert re.fullmatch(
        r"This browser computes wrong scores, so .* \(self-test picture 2: p_real_spectrum is 0\.\d+ and "
        r"must be 0\.7500\)\. Another browser may help\.",
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
    files = inputs.write({f"{n:03d}.jpg": b"no image" for n in range(300)}, tmp_path)
    opened.browser.run("""
      const more = new MutationObserver(() => {
        more.disconnect();
        document.getElementById("cancel").click();
      });
      more.observe(document.getElementById("done"), { childList: true });
    """)
    opened.give(files)
    opened.until(lambda: not opened.browser.one("#progress").is_displayed())
    assert opened.count() < 300
    opened.browser.run(
        "window.heard = []; for (const id of ['cancel', 'clear']) document.getElementById(id).click()"
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

        do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

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


# Ways out that a script has, in the page and in a Worker of it. Each says "refused" or "went out".
_TRY = """
  const [port, done] = arguments;
  const both = `
    const said = [];
    const tried = async (name, way) => said.push(await way().then(() => name + " went out", () => "refused"));
    const opens = (made) => new Promise((go, stop) =>
      Object.assign(made, { onopen: go, onload: go, onerror: stop }));
    const ways = async (address) => {
      await tried("fetch", () => fetch(address("fetch")));
      await tried("blind", () => fetch(address("blind"), { method: "POST", mode: "no-cors", body: "x" }));
      await tried("socket", () => opens(new WebSocket(address("socket").replace("http", "ws"))));
      await tried("events", () => opens(new EventSource(address("events"))));
      await tried("request", () => {
        const request = new XMLHttpRequest();
        request.open("GET", address("request"));
        request.send();
        return opens(request);
      });
    };
  `;
  const code = both + `
    onmessage = async ({ data }) => {
      await ways((name) => "http://127.0.0.1:" + data + "/worker-" + name);
      await tried("import", async () => importScripts("http://127.0.0.1:" + data + "/import"));
      postMessage(said);
    };
  `;
  const said = [];
  const address = (name) => `http://127.0.0.1:${port}/${name}`;
  const loads = (name, key) => new Promise((settle) => {
    const made = document.createElement(name);
    made.onload = () => settle(said.push(name + " went out"));
    made.onerror = () => settle(said.push("refused"));
    if (name === "link") made.rel = "stylesheet";
    made[key] = address(name);
    document.body.append(made);
  });
  const all = async () => {
    await fetch(address("fetch")).then(() => said.push("fetch went out"), () => said.push("refused"));
    for (const [name, key] of [["img", "src"], ["script", "src"], ["link", "href"]]) await loads(name, key);
    navigator.sendBeacon(address("beacon"), "x");
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => done([...said, ...data]);
    worker.onerror = (event) => done([event.message]);
    worker.postMessage(port);
  };
  all();
"""


def test_no_way_out(opened: LocalPage, listener: Listener) -> None:
    driver = opened.browser.driver
    policy = opened.browser.one("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-inline" not in policy
    driver.set_script_timeout(30)
    said = driver.execute_async_script(_TRY, listener.server_port)
    assert said == ["refused"] * 10
    assert listener.asked == []
    assert len(opened.browser.complaints()) >= 10
