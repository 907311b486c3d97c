"""A real Chromium that opens the pages as a user does, and can tell what a page asked the network for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
)


class Browser:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path | str) -> None:
        """Opens a file or an address."""
        self._log("browser")
        self._log("performance")
        self.driver.get(page if isinstance(page, str) else page.as_uri())

    def _log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call."""
        get_log: Callable[[str], list[dict[str, Any]]] = self.driver.get_log
        return get_log(kind)

    def complaints(self) -> list[str]:
        """What the console said, violations of the content security policy among it."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the page reached for and was not kept from; what it holds itself left out."""
        log = self._log("performance")
        events = [json.loads(entry["message"])["message"] for entry in log]
        page = self.driver.current_url.partition("#")[0]
        sent, blocked = {}, set()
        for event in events:
            values = event["params"]
            if event["method"] == "Network.requestWillBeSent" and values["documentURL"].startswith(page):
                sent[values["requestId"]] = values["request"]["url"]
            elif event["method"] == "Network.loadingFailed" and values.get("blockedReason") == "csp":
                blocked.add(values["requestId"])
        addresses = [address for request, address in sent.items() if request not in blocked]
        return [address for address in addresses if not address.startswith(("data:", "blob:", page))]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent)"
        return list(self.run(script, selector))

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def press(self, *keys: str) -> None:
        for key in keys:
            self.focused().send_keys(key)

    @contextmanager
    def screen(self, width: int, height: int = 800, **media: str) -> Iterator[None]:
        """Another size, and media features such as `prefers_color_scheme="dark"`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        yield
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Starts Chromium with a new profile.

    Where there is none the test is skipped, or fails when CMFL_REQUIRE_BROWSER is set.
    """
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    binary, driver = next(filter(None, found), None), shutil.which("chromedriver")
    if binary is None or driver is None:
        why = "needs chromium and chromedriver (Debian: apt install chromium chromium-driver)"
        if os.environ.get("CMFL_REQUIRE_BROWSER"):
            pytest.fail(f"CMFL_REQUIRE_BROWSER is set, and this test {why}")
        pytest.skip(why)
    options = ChromeOptions()
    options.binary_location = binary
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = Chrome(options, Service(driver))
    try:
        yield Browser(window)
    finally:
        window.quit()
