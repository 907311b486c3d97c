"""The report of predict in a real browser, opened from a file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from cmfl_export.images.status import Status
from tests.cmfl_export import tiny_model
from tests.cmfl_export.browser import Browser, chromium
from tests.cmfl_export.example_rows import extras, failure, many, row, write
from tests.cmfl_export.report.test_html import HOSTILE

NAMES = "#cards .path"
# Every element that the Tab key reaches, in its order, with its name as a screen reader would say it.
REACHED = """
return Array.from(document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']"))
  .filter((e) => e.checkVisibility() && !e.closest("dialog:not([open])"))
  .map((e) => [e.ariaLabel ?? (e.labels?.length ? e.labels[0] : e).textContent.trim(), e.tabIndex]);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 images, of which 70 have their pictures, and three failures."""
    failures = [failure("x/broken.jpg", Status.TRUNCATED, "the file ends too early"), failure("x/note.txt")]
    rows = [*many(100, pictures=100), *failures, failure("absent.png", Status.NOT_FOUND, "no such file")]
    return write(tmp_path_factory.mktemp("page") / "r.html", rows, pictures=70)


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page)
    return browser


def count(browser: Browser) -> str:
    return browser.one("#count").text


def choose(browser: Browser, id: str, value: str) -> None:
    Select(browser.one(f"#{id}")).select_by_value(value)


def test_it_opens_without_a_complaint_or_a_request(opened: Browser) -> None:
    opened.one("#cards button").click()
    opened.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert opened.complaints() == []
    assert opened.requests() == []


def test_nothing_can_be_fetched_and_no_other_script_runs(opened: Browser) -> None:
    opened.run("""
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x.png";
      const script = document.createElement("script");
      script.textContent = "document.title = 'changed'";
      document.body.append(image, script);
      document.body.insertAdjacentHTML("beforeend", "<p id=trap onclick='document.title=1'>x</p>");
      document.getElementById("trap").click();
    """)
    assert opened.requests() == []
    assert opened.driver.title == "Detection report: tiny"
    assert len(opened.complaints()) == 3


def test_the_first_card_is_the_most_suspicious(opened: Browser) -> None:
    names = opened.texts(NAMES)
    assert names == [f"{rank:05d}.png" for rank in range(60)]
    assert opened.texts("#cards strong")[:2] == ["0.010", "0.020"]
    assert count(opened) == "1 to 60 of 103"
    assert opened.one("#count").get_attribute("role") == "status"
    loaded = "return Array.from(document.images).every((i) => i.complete && i.naturalWidth === 224)"
    assert opened.run(loaded)


def test_filters_change_the_cards_and_the_announced_count(opened: Browser) -> None:
    choose(opened, "decision", "real")
    assert count(opened) == "1 to 50 of 50 that match, of 103 in all"
    assert opened.texts(NAMES)[0] == "00050.png"
    opened.one("#disagree").click()
    assert opened.texts(NAMES) == [f"{rank:05d}.png" for rank in range(56, 100, 7)]
    opened.one("#text").send_keys("/0007")
    assert opened.texts(NAMES) == ["00070.png", "00077.png"]
    opened.one("#text").send_keys("nothing")
    assert count(opened) == "None of 103 matches"
    opened.one("#start-over").click()
    assert count(opened) == "1 to 60 of 103"
    opened.one("#high").clear()
    opened.one("#high").send_keys("0.1")
    assert count(opened) == "1 to 10 of 10 that match, of 103 in all"
    opened.one("#start-over").click()
    choose(opened, "status", "truncated")
    assert opened.texts(NAMES) == ["broken.jpg"]
    assert opened.texts("#cards .none") == ["the file ends too early"]
    assert opened.complaints() == []


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("real", ["00099.png", "00098.png"]),
        ("spectrum", ["00001.png", "00098.png"]),
        ("rgb", ["00000.png", "00001.png"]),
        ("difference", ["00000.png", "00098.png"]),
        ("path", ["absent.png", "00000.png"]),
        ("number", ["00000.png", "00007.png"]),
    ],
)
def test_sort_orders(opened: Browser, order: str, first: list[str]) -> None:
    choose(opened, "sort", order)
    assert opened.texts(NAMES)[:2] == first


def test_the_dialog_by_keyboard(opened: Browser) -> None:
    opened.run("document.querySelectorAll('#cards button')[1].focus()")
    opened.press(Keys.ENTER)
    assert opened.one("#detail").is_displayed()
    assert opened.one("#detail-name").text == "00001.png"
    place = opened.one("#detail-place")
    assert place.text == "2 of 103, input 44 synthetic P(real) 0.020"
    assert place.get_attribute("role") == "status"
    assert opened.texts("#detail-scores td.number") == ["0.019802"] * 3
    assert [image.get_attribute("alt") for image in opened.all("#detail-pictures img")] == [
        "00001.png as the model saw it",
        "Spectrum of 00001.png",
    ]
    assert opened.texts("#detail-pictures figcaption") == [
        "The image as the model saw it; heatmap of the RGB branch, strongest in the upper right.",
        "Its spectrum; heatmap of the spectrum branch, strongest in the upper right.",
    ]
    opened.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert opened.one("#detail-name").text == "00000.png"
    assert "Branches disagree" in place.text
    assert opened.one("#previous").get_attribute("aria-disabled") == "true"
    opened.focused().send_keys(Keys.ARROW_RIGHT * 65, Keys.ESCAPE)
    # The page of the image that was looked at last, and the focus on it.
    assert not opened.one("#detail").is_displayed()
    assert count(opened) == "61 to 103 of 103"
    assert opened.focused().get_attribute("aria-label") == "Details of 00065.png: real, P(real) 0.653"


def test_the_heatmap_lies_over_the_image(opened: Browser) -> None:
    """Its strongest place, field (1, 12) of 14 x 14, is coloured on the canvas, and the rest hardly."""
    opened.one("#cards button").click()
    alpha = """
      const canvas = document.querySelector(".heat"), at = (field) => Math.round((field + 0.5) * 448 / 14);
      const pixel = (x, y) => canvas.getContext("2d").getImageData(at(x), at(y), 1, 1).data[3];
      return [pixel(12, 1), pixel(3, 9), canvas.style.opacity];
    """
    peak, elsewhere, opacity = opened.run(alpha)
    assert peak > 200
    assert elsewhere < 140
    assert opacity == "0.7"
    assert opened.one(".stack img").rect == opened.one(".stack .heat").rect
    slider = opened.one("#opacity")
    slider.send_keys(Keys.ARROW_LEFT)
    assert opened.run(alpha)[2] == "0.69"
    assert opened.one("#detail-name").text == "00000.png"
    # This image's peak is 0.020 and the largest of all 0.029.
    opened.one("#common").click()
    assert opened.run(alpha)[0] < peak - 20


def test_the_focus_stays_in_the_dialog(opened: Browser) -> None:
    opened.one("#cards button").click()
    inside = "return document.activeElement === document.body || !!document.activeElement.closest('dialog')"
    seen = set()
    for _ in range(9):
        opened.press(Keys.TAB)
        assert opened.run(inside)
        seen.add(opened.focused().get_attribute("id"))
    assert {"previous", "next", "close", "opacity", "common"} <= seen


def test_images_without_a_picture_say_why(opened: Browser) -> None:
    choose(opened, "sort", "real")
    opened.one("#cards button").click()
    assert opened.texts("#detail-pictures .note")[0].startswith("Only the most suspicious images are here")
    assert not opened.one("#detail-controls").is_displayed()
    assert str(opened.one("#detail-path a").get_attribute("href")).endswith("/folder/00099.png")


def test_failed_inputs_have_a_table(opened: Browser) -> None:
    section = "section[aria-labelledby=failed]"
    reasons = "Without a score: 1 truncated, 1 not_an_image, 1 not_found"
    assert opened.one(f"{section} caption").text == reasons
    assert [line.text for line in opened.all(f"{section} tbody tr")] == [
        "x/broken.jpg truncated the file ends too early",
        "x/note.txt not_an_image not an image",
        "absent.png not_found no such file",
    ]


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    rows = [row(f"{name}", 0.1, extras=extras(1)) for name in HOSTILE]
    rows += [failure(name, Status.UNREADABLE, name) for name in HOSTILE]
    browser.open(write(tmp_path / "r.html", rows))
    shown = browser.texts(NAMES)
    assert len(shown) == 2 * len(HOSTILE)
    assert '"><img src=x onerror=alert(1)>.png' in shown
    assert "photo\\u202egnp.exe" in shown
    assert "not utf-8 \\udc80\\udcff" in shown
    # The reasons, in place of a picture.
    assert {"photo\\u202egnp.exe", "line\\nbreak\\u2028\\x00\\x7f"} < set(browser.texts("#cards .none"))
    browser.one("#cards button").click()
    browser.press(*[Keys.ARROW_RIGHT] * (len(shown) - 1))
    assert browser.all("img[src=x]") == []
    assert browser.complaints() == []
    assert browser.requests() == []


def test_five_thousand_images_are_paged(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "r.html", many(5000, pictures=150), pictures=5000))
    assert count(browser) == "1 to 60 of 5,000"
    pages = "return document.querySelectorAll('#cards > li').length"
    upper, lower = browser.all(".pager")
    upper.find_element("css selector", "[aria-label='Next page']").click()
    assert count(browser) == "61 to 120 of 5,000"
    assert browser.texts(NAMES)[0] == "00060.png"
    field = upper.find_element("css selector", "input")
    field.clear()
    field.send_keys("84" + Keys.ENTER)
    assert count(browser) == "4,981 to 5,000 of 5,000"
    assert browser.run(pages) == 20
    following = lower.find_element("css selector", "[aria-label='Next page']")
    assert following.get_attribute("aria-disabled") == "true"
    lower.find_element("css selector", "[aria-label='Previous page']").click()
    assert count(browser) == "4,921 to 4,980 of 5,000"
    assert browser.focused().get_attribute("id") == "results"
    assert browser.run(pages) == 60


def test_everything_that_can_be_reached_has_a_name_in_a_sane_order(opened: Browser) -> None:
    reached = opened.run(REACHED)
    names = [name for name, _ in reached]
    assert all(names), reached
    assert {place for _, place in reached} == {0}
    assert names[0] == "Skip to the results"
    order = [
        "Path contains",
        "Decision",
        "Status",
        "P(real) from",
        "P(real) to",
        "Branches disagree",
        "Sort by",
        "Reset",
    ]
    at = [next(i for i, name in enumerate(names) if name.startswith(wanted)) for wanted in order]
    assert at == sorted(at)
    assert names.index("Previous page") < names.index("Details of 00000.png: synthetic, P(real) 0.010")
    images = opened.run("return Array.from(document.images, (i) => i.alt)")
    assert len(images) == 60
    assert all(images)
    headings = opened.run("""
      return Array.from(document.querySelectorAll("h1, h2, h3"), (h) => h.checkVisibility() ? h.tagName : "")
    """)
    assert [tag for tag in headings if tag] == ["H1", "H2", "H2", "H2", "H2"]
    assert opened.run("return document.querySelectorAll('main, header').length") == 2
    ids = opened.run("return Array.from(document.querySelectorAll('[id]'), (e) => e.id)")
    assert len(ids) == len(set(ids))
    assert str(opened.one(".histogram svg").get_attribute("aria-label")).startswith("Histogram of P(real)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_and_both_schemes(opened: Browser, scheme: str) -> None:
    with opened.screen(360, prefers_color_scheme=scheme):
        assert opened.run("return document.documentElement.scrollWidth") <= 360
        opened.one("#cards button").click()
        assert opened.run("return document.getElementById('detail').scrollWidth") <= 360
        paper = opened.run("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_one_stream_model_has_no_branches(browser: Browser, tmp_path: Path) -> None:
    card = replace(tiny_model.card(("p_real",)), architecture="one_stream", spectra="rgb")
    browser.open(write(tmp_path / "r.html", [row("a.png", 0.1, extras=extras(1, ()))], card=card))
    assert not browser.one("#disagree-box").is_displayed()
    assert len(browser.all("#sort option")) == 4
    assert not browser.one(".pager").is_displayed()
    browser.one("#cards button").click()
    assert browser.texts("#detail-scores tbody th") == ["Score"]
    assert len(browser.all("#detail-pictures img")) == 1
    assert browser.all(".heat") == []


def test_a_missing_browser_fails_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setenv("CMFL_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="chromium-driver"), chromium(tmp_path):
        pass
    monkeypatch.delenv("CMFL_REQUIRE_BROWSER")
    with pytest.raises(pytest.skip.Exception, match="chromium-driver"), chromium(tmp_path):
        pass
