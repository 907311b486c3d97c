"""Pages with a detector of their own, and what their Workers answer."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver.support.ui import WebDriverWait

from cmfl_export.runtime import Trouble, package_folder
from cmfl_export.web import build_page
from tests.cmfl_export import pictured_model
from tests.cmfl_export.browser import Browser

# Before any script of a page: keeps what its Worker answers.
_LISTEN = """
  window.heard = [];
  const Plain = Worker;
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => window.heard.push(...(data.rows ?? [])));
    }
  };
"""
_TAKE = """
  const text = (crop) => crop && btoa(Array.from(crop.data, (byte) => String.fromCharCode(byte)).join(""));
  const list = (values) => values && Array.from(values);
  return window.heard.splice(0).map(({ crop, spectrum, heatmap_rgb, heatmap_spectrum, ...row }) => ({
    ...row,
    crop: text(crop),
    spectrum: text(spectrum),
    heatmap_rgb: list(heatmap_rgb),
    heatmap_spectrum: list(heatmap_spectrum),
  }));
"""
_PATIENCE = 60.0


class LocalPage:
    """A page in the browser that has opened its model, or says why not."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def open(self, page: Path) -> None:
        self.browser.open(page)
        self.until(lambda: any(self.browser.one(f"#{name}").is_displayed() for name in ("intake", "trouble")))

    def until(self, true: Any) -> None:
        WebDriverWait(self.browser.driver, _PATIENCE, 0.05).until(lambda _: true())

    @property
    def trouble(self) -> str:
        return self.browser.one("#trouble-text").text

    def give(self, files: Sequence[Path]) -> None:
        self.browser.one("#files").send_keys("\n".join(map(str, files)))

    def count(self) -> int:
        return int(self.browser.run("return window.heard.length"))

    def rows(self, files: Sequence[Path], count: int | None = None) -> list[dict[str, Any]]:
        """The rows that the Worker answers for the files, `count` of them; pictures as arrays."""
        self.give(files)
        self.until(lambda: self.count() >= (count or len(files)))
        found = self.browser.run(_TAKE)
        for row in found:
            for name in ("crop", "spectrum"):
                row[name] = None if row[name] is None else _pixels(row[name])
        return list(found)


def _pixels(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(224, 224, 4)[..., :3]


@pytest.fixture(scope="session")
def package() -> Path:
    """The npm package. Where there is none the test is skipped, or fails when CMFL_REQUIRE_WEB is set."""
    found = package_folder()
    if isinstance(found, Trouble):
        why = f"needs onnxruntime-web: {found.cause}; to fix it: {found.remedy}"
        if os.environ.get("CMFL_REQUIRE_WEB"):
            pytest.fail(f"CMFL_REQUIRE_WEB is set, and this test {why}")
        pytest.skip(why)
    return found


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with pictures, whose scores are means of pixels, with a temperature."""
    return pictured_model.write(tmp_path_factory.mktemp("web") / "m.onnx", threshold=0.45, temperature=1.7)


@pytest.fixture(scope="session")
def page(pictured: Path, package: Path) -> Path:
    """Its page."""
    return build_page(pictured, pictured.with_name("page.html"), package).path


@pytest.fixture
def local(browser: Browser) -> Iterator[LocalPage]:
    added = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _LISTEN})
    yield LocalPage(browser)
    browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
