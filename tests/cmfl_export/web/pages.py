"""Pages with a detector whose rows the test has written, opened from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selenium.webdriver.support.wait import WebDriverWait

from cmfl_export.runtime import COLUMNS, FACE_COLUMNS, Prediction
from cmfl_export.web import render_page
from tests.cmfl_export.browser import Browser
from tests.cmfl_export.example_rows import CARD

_FAKE = (Path(__file__).parent / "fake_detector.js").read_text()


def about(**changes: Any) -> dict[str, Any]:
    """What a detector says of the model of `example_rows`."""
    card = json.loads(CARD.to_json())
    return {
        **{"name": CARD.name, "version": "1.2.3", "precision": "fp32", "threshold": 0.5, "temperature": 1.0},
        **{"runtime": "wasm", "streams": 2, "outputs": CARD.outputs, "aligns": True, "card": card},
    } | changes


def write(
    page: Path,
    rows: Mapping[str, Sequence[Prediction]] = {},
    *,
    server: bool = False,
    refused: str = "",
    **changes: Any,
) -> Path:
    """Writes a page. `rows` by the names of their files; others get a score without a picture."""
    columns = (*COLUMNS, *FACE_COLUMNS)
    records: dict[str, Any] = {
        name: [row.record(columns if row.face is not None else COLUMNS) for row in given]
        for name, given in rows.items()
    }
    records["any"] = Prediction("", 0.25, 0.25, 0.25, "synthetic").record(COLUMNS) | {"plain": True}
    made = render_page(
        "A page",
        "FakeDetector",
        [_FAKE],
        {"server": server, "rows": records, "about": about(**changes), "refused": refused},
        {},
        policy_in_page=True,
    )
    page.write_text("".join(made.pieces))
    return page


def until(browser: Browser, true: Callable[[], object]) -> None:
    WebDriverWait(browser.driver, 30, poll_frequency=0.05).until(lambda _: true())


def results(browser: Browser, count: int) -> None:
    """Waits until so many rows have come."""
    until(browser, lambda: browser.one("#count-images").text == f"{count:,}")


def choose(browser: Browser, *files: Path | str) -> None:
    until(browser, lambda: browser.one("#intake").is_displayed())
    browser.one("#files").send_keys("\n".join(map(str, files)))


def downloads(browser: Browser, folder: Path) -> None:
    """Lets the page's downloads land in a folder."""
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )


def saved(browser: Browser, folder: Path) -> bytes:
    """The CSV of the session, saved by its button."""
    downloads(browser, folder)
    browser.one("#save").click()
    file = folder / "cmfl-scores.csv"
    until(browser, file.is_file)
    return file.read_bytes()
