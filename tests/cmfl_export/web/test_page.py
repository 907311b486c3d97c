"""The page in a real browser, with a detector whose rows the test has written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from cmfl_export.images import Status
from cmfl_export.predict.row_writers import open_writer
from cmfl_export.runtime import Prediction
from tests.cmfl_export.browser import Browser
from tests.cmfl_export.example_rows import CARD, failure, row
from tests.cmfl_export.report.test_html import HOSTILE
from tests.cmfl_export.web.pages import about, choose, results, saved, until, write

NAMES = "#cards .path"
GOOD = row("b.png", 0.96125, 0.95, 0.2)
ROWS = {
    "b.png": [GOOD],
    "a.png": [row("a.png", 0.03125, 0.1, 0.2)],
    "bad.jpg": [failure("bad.jpg", Status.TRUNCATED, "the file ends too early")],
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The files of ROWS, in another order than that of their names."""
    for name in ROWS:
        (tmp_path / name).write_bytes(b"x")
    return [tmp_path / name for name in ROWS]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Browser:
    browser.open(write(tmp_path / "page.html", ROWS))
    until(browser, lambda: browser.one("#intake").is_displayed())
    return browser


def give(browser: Browser, count: int) -> None:
    browser.run("fake.give(arguments[0])", count)


class TestRows:
    def test_are_shown_in_order_with_the_words_of_the_report(
        self, opened: Browser, files: list[Path]
    ) -> None:
        choose(opened, *files)
        give(opened, 3)
        results(opened, 3)
        assert opened.texts(NAMES) == ["b.png", "a.png", "bad.jpg"]
        assert opened.texts("#cards .badge") == ["real", "synthetic", "truncated"]
        assert opened.texts("#cards strong") == ["0.961", "0.031"]
        assert opened.texts("#cards .differ") == ["Branches disagree"]
        assert opened.texts("#cards .none") == ["the file ends too early"]
        # Without a band or a domain what is of one is hidden.
        counts = ["3", "1", "0", "1", "1", "1", "0", "0.5", "0.5", "0.5"]
        assert opened.texts("#counts dd") == counts
        assert not opened.one("#count-uncertain").is_displayed()
        assert opened.one("#said").text == "Done. 3 results: 1 synthetic, 1 real, 1 failed."
        assert opened.all("#cards img")[0].get_attribute("alt") == "b.png as the model saw it"
        assert not opened.one("#progress").is_displayed()
        assert opened.complaints() == []
        assert opened.requests() == []

    def test_may_be_uncertain(self, browser: Browser, tmp_path: Path) -> None:
        given = {"a.png": [replace(row("a.png", 0.5, 0.5, 0.9), decision="uncertain")], "b.png": [GOOD]}
        browser.open(write(tmp_path / "page.html", given, band=[0.25, 0.75]))
        for name in given:
            (tmp_path / name).write_bytes(b"x")
        choose(browser, *(tmp_path / name for name in given))
        give(browser, 2)
        results(browser, 2)
        assert browser.texts("#cards .badge") == ["uncertain", "real"]
        assert browser.texts("#counts dd") == ["2", "0", "1", "1", "0", "1", "0", "0.5", "0.25", "0.75"]
        assert browser.one("#said").text == "Done. 2 results: 0 synthetic, 1 uncertain, 1 real, 0 failed."
        assert browser.one(".of-threshold").text == ""
        assert "real from 0.75 on, synthetic below 0.25" in browser.one("#reading + .facts").text
        browser.one("#cards button").click()
        assert browser.texts("#detail-scores td:last-child") == ["uncertain", "uncertain", "real"]
        browser.one("#close").click()
        Select(browser.one("#decision")).select_by_value("uncertain")
        assert browser.texts(NAMES) == ["a.png"]
        assert browser.complaints() == []

    def test_have_details(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, files[0])
        give(opened, 1)
        results(opened, 1)
        opened.one("#cards button").click()
        assert opened.texts("#detail-scores td.number") == ["0.961250", "0.950000", "0.200000"]
        assert opened.texts("#detail-scores td:last-child") == ["real", "real", "synthetic"]
        assert opened.texts("#detail-pictures figcaption") == [
            "The image as the model saw it; heatmap of the RGB branch, strongest in the upper right.",
            "Its spectrum; heatmap of the spectrum branch, strongest in the upper right.",
        ]
        assert len(opened.all("#detail-pictures .heat")) == 2

    def test_that_come_later_leave_the_focus(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, *files)
        give(opened, 1)
        results(opened, 1)
        Select(opened.one("#sort")).select_by_value("suspicious")
        opened.run("document.querySelector('#cards button').focus()")
        give(opened, 2)
        results(opened, 3)
        assert opened.texts(NAMES) == ["a.png", "b.png", "bad.jpg"]
        assert str(opened.focused().get_attribute("aria-label")).startswith("Details of b.png")

    def test_of_thousands_of_files_are_paged(self, opened: Browser) -> None:
        opened.run("""
          const files = Array.from({length: 3000}, (_, place) => new File(["x"], `${place}.png`));
          fake.score(files, {align: "none"});
        """)
        give(opened, 3000)
        results(opened, 3000)
        assert opened.one("#count").text == "1 to 60 of 3,000"
        assert len(opened.all("#cards > li")) == 60

    def test_are_cleared(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, *files)
        give(opened, 2)
        results(opened, 2)
        opened.one("#clear").click()
        assert not opened.one("#found").is_displayed()
        assert opened.focused().get_attribute("id") == "choose-files"
        assert opened.run("return fake.cancelled") == 1
        choose(opened, files[2])
        assert opened.one("#done").text == "0 of 1 scored"
        give(opened, 1)
        results(opened, 1)
        assert opened.texts(NAMES) == ["bad.jpg"]

    def test_with_hostile_names_are_text(self, browser: Browser, tmp_path: Path) -> None:
        rows = [row(name, 0.1) for name in HOSTILE]
        rows += [failure(name, Status.UNREADABLE, name) for name in HOSTILE]
        browser.open(write(tmp_path / "page.html", {"x.png": rows}, name=HOSTILE[0]))
        (tmp_path / "x.png").write_bytes(b"x")
        choose(browser, tmp_path / "x.png")
        give(browser, 1)
        results(browser, 2 * len(HOSTILE))
        shown = browser.texts(NAMES)
        assert '"><img src=x onerror=alert(1)>.png' in shown
        assert "photo\\u202egnp.exe" in shown
        assert "not utf-8 \\udc80\\udcff" in shown
        assert "line\\nbreak\\u2028\\x00\\x7f" in browser.texts("#cards .none")
        assert browser.all("img[src=x]") == []
        assert browser.complaints() == []
        assert browser.requests() == []


class TestCsv:
    def test_is_that_of_predict(self, browser: Browser, tmp_path: Path) -> None:
        scores = [0.0, 1.0, 0.5, 0.1, 1e-4, 9.9e-5, 1e-5, 1.5e-7, 3e-39, 0.75263727, 0.96111101, 1 / 3]
        rows = [row(f"{place}.png", value, value / 3, 1 - value) for place, value in enumerate(scores)]
        rows += [row("one stream.png", 0.4), row("nan.png", float("nan"), 0.1, 0.2)]
        rows += [failure(name) for name in ("=1+1", "+1", "-1", "@x", "a,b", 'a"b', "a\rb", "a\nb", "ü 😀")]
        browser.open(write(tmp_path / "page.html", {"x.png": rows}))
        (tmp_path / "x.png").write_bytes(b"x")
        choose(browser, tmp_path / "x.png")
        give(browser, 1)
        results(browser, len(rows))
        assert saved(browser, tmp_path) == csv_of(rows, tmp_path / "rows.csv")

    def test_has_the_faces(self, browser: Browser, tmp_path: Path) -> None:
        box = (10.0, 20.5, 119.9, 1234.0)
        rows = [replace(GOOD, path="p.png", face=place, faces=2, box=box) for place in range(2)]
        rows.append(failure("none.png", Status.NO_FACE, "no face"))
        browser.open(write(tmp_path / "page.html", {"p.png": rows}))
        (tmp_path / "p.png").write_bytes(b"x")
        choose(browser, tmp_path / "p.png")
        give(browser, 1)
        results(browser, 3)
        assert browser.texts(NAMES)[:2] == ["p.png (face 1 of 2)", "p.png (face 2 of 2)"]
        assert saved(browser, tmp_path) == csv_of(rows, tmp_path / "rows.csv", faces=True)


def csv_of(rows: list[Prediction], path: Path, faces: bool = False) -> bytes:
    with open_writer(path, groups=["faces"] if faces else []) as writer:
        writer.write(rows)
    return path.read_bytes()


class TestQueue:
    def test_is_cancelled(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, *files)
        give(opened, 1)
        results(opened, 1)
        assert opened.one("#done").text == "1 of 3 scored"
        assert opened.one("#bar").get_attribute("value") == "1"
        opened.one("#cancel").send_keys(Keys.ENTER)
        assert opened.run("return fake.cancelled") == 1
        assert not opened.one("#progress").is_displayed()
        assert opened.focused().get_attribute("id") == "results"
        until(
            opened, lambda: opened.one("#said").text == "Cancelled. 1 result: 0 synthetic, 1 real, 0 failed."
        )
        assert opened.texts(NAMES) == ["b.png"]

    def test_stops_until_it_is_asked_to_go_on(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, *files)
        opened.run("fake.onstop('The server cannot be reached.')")
        trouble = opened.one("#trouble")
        assert trouble.get_attribute("role") == "alert"
        assert trouble.text == "The server cannot be reached.\nTry again"
        opened.one("#again").click()
        assert opened.run("return fake.resumed") == 1
        assert not trouble.is_displayed()


class TestFiles:
    def test_of_a_folder_are_its_images_in_order(self, opened: Browser, tmp_path: Path) -> None:
        folder = tmp_path / "set"
        for name in ("b.PNG", "a/z.jpg", "a/notes.txt", ".hidden/c.png", ".d.png", "a.png", "a-b/y.png"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
        opened.one("#folder").send_keys(str(folder))
        until(opened, lambda: opened.run("return fake.asked.length"))
        names = ["set/a/z.jpg", "set/a-b/y.png", "set/a.png", "set/b.PNG"]
        assert opened.run("return fake.asked") == [[names, "none"]]

    def test_of_a_drop(self, opened: Browser) -> None:
        opened.run("""
          const transfer = new DataTransfer();
          transfer.items.add(new File(["x"], "notes.txt"));
          document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
        """)
        until(opened, lambda: opened.run("return fake.asked.length"))
        assert opened.run("return fake.asked") == [[["notes.txt"], "none"]]

    def test_of_a_dropped_folder(self, opened: Browser) -> None:
        """More than 100, which the browser gives at a time; a script cannot make a folder to drop."""
        names = opened.driver.execute_async_script("""
          const file = (path) => ({isDirectory: false, name: path.split("/").pop(), fullPath: path,
            file: (give) => give(new File(["x"], path.split("/").pop()))});
          const folder = (path, ...entries) => ({isDirectory: true, name: path.split("/").pop(),
            createReader: () => ({readEntries: (give) => give(entries.splice(0, 100))})});
          const many = Array.from({length: 150}, (_, place) => file(`/set/${1000 + place}.png`));
          const set = folder("/set", file("/set/x.txt"), folder("/set/0", file("/set/0/a.gif")), ...many);
          const items = [{webkitGetAsEntry: () => set, getAsFile: () => null}];
          filesOfDrop({items}, settings.endings)
            .then((files) => files.map((each) => each.webkitRelativePath)).then(arguments[0]);
        """)
        assert names == ["set/0/a.gif", *(f"set/{1000 + place}.png" for place in range(150))]

    def test_that_are_photographs(self, opened: Browser, files: list[Path]) -> None:
        Select(opened.one("#align")).select_by_value("all")
        choose(opened, files[0])
        assert opened.run("return fake.asked") == [[["b.png"], "all"]]
        assert not opened.one("#no-align").is_displayed()

    def test_must_be_crops_where_no_faces_are_looked_for(
        self, browser: Browser, tmp_path: Path, files: list[Path]
    ) -> None:
        browser.open(write(tmp_path / "page.html", ROWS, aligns=False))
        choose(browser, files[0])
        assert not browser.one("#align").is_displayed()
        assert "aligned face crops, 224 x 224 pixels" in browser.one("#no-align").text
        assert browser.run("return fake.asked") == [[["b.png"], "none"]]


class TestModel:
    def test_is_shown(self, opened: Browser) -> None:
        assert opened.one("#running").text == "Model tiny (fp32), run in this page on wasm"
        assert opened.one("#intended").text == about()["card"]["intended_use"]
        facts = dict(zip(opened.texts("#facts dt"), opened.texts("#facts dd"), strict=True))
        assert facts["Its source"] == "made up for a test"
        assert facts["Tool"] == "cmfl-export 1.2.3"
        items = dict(zip(opened.texts("#card-rows th"), opened.texts("#card-rows td"), strict=True))
        # JavaScript has other words for some values.
        words = {"True": "true", "1.0": "1"}
        assert items == {name: words.get(value, value) for name, value in CARD.items().items()}
        assert not opened.one("#lacking").is_displayed()

    def test_with_one_stream_has_no_branches(self, browser: Browser, tmp_path: Path) -> None:
        browser.open(write(tmp_path / "page.html", ROWS, streams=1, outputs=["p_real"]))
        until(browser, lambda: browser.one("#intake").is_displayed())
        assert not any(place.is_displayed() for place in browser.all(".of-branches"))
        assert len(browser.all("#sort option")) == 4
        assert "no heatmap and no spectrum output" in browser.one("#lacking").text

    def test_that_is_refused_says_why(self, browser: Browser, tmp_path: Path) -> None:
        browser.open(write(tmp_path / "page.html", refused="The self-test failed."))
        until(browser, lambda: browser.one("#trouble").is_displayed())
        assert browser.one("#trouble").text == "The self-test failed."
        assert not browser.one("#intake").is_displayed()
        assert not browser.one("#state").is_displayed()

    @pytest.mark.parametrize(
        ("server", "says"), [(False, "The images stay on this device"), (True, "The images are sent to ")]
    )
    def test_says_where_images_go(self, browser: Browser, tmp_path: Path, server: bool, says: str) -> None:
        browser.open(write(tmp_path / "page.html", server=server))
        until(browser, lambda: browser.one("#intake").is_displayed())
        assert browser.one("#privacy").text.startswith(says)


class TestAccess:
    def test_by_keyboard(self, opened: Browser) -> None:
        opened.run("""
          globalThis.clicked = [];
          for (const id of ["files", "folder"]) {
            element(id).addEventListener("click", (event) => { event.preventDefault(); clicked.push(id); });
          }
        """)
        reached = []
        for _ in range(4):
            opened.press(Keys.TAB)
            reached.append(opened.focused().get_attribute("id") or opened.focused().get_attribute("class"))
        assert reached == ["skip", "choose-files", "choose-folder", "align"]
        for id in ("choose-files", "choose-folder"):
            opened.one(f"#{id}").send_keys(Keys.ENTER)
        assert opened.run("return clicked") == ["files", "folder"]

    def test_every_control_has_a_name(self, opened: Browser, files: list[Path]) -> None:
        choose(opened, *files)
        give(opened, 2)
        results(opened, 2)
        nameless = opened.run("""
          return Array.from(document.querySelectorAll("button, input, select, progress, [role=region]"))
            .filter((e) => e.checkVisibility())
            .filter((e) => !(e.ariaLabel || (e.labels?.length && e.labels[0].textContent.trim())
              || e.textContent.trim()))
            .map((e) => e.outerHTML)
        """)
        assert nameless == []
        ids = opened.run("return Array.from(document.querySelectorAll('[id]'), (e) => e.id)")
        assert len(ids) == len(set(ids))
        headings = (
            "return Array.from(document.querySelectorAll('h1, h2'), (e) => e.checkVisibility() && e.tagName)"
        )
        assert [tag for tag in opened.run(headings) if tag] == ["H1", "H2", "H2", "H2", "H2"]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_on_narrow_screens_in_both_schemes(self, opened: Browser, files: list[Path], scheme: str) -> None:
        choose(opened, *files)
        give(opened, 2)
        results(opened, 2)
        with opened.screen(360, prefers_color_scheme=scheme):
            assert opened.one("#cancel").is_displayed()
            assert opened.run("return document.documentElement.scrollWidth") <= 360
            assert min(contrasts(opened)) >= 4.5
            opened.one("#cards button").click()
            assert opened.run("const d = element('detail'); return d.scrollWidth - d.clientWidth") == 0

    def test_a_policy_forbids_every_connection(self, opened: Browser) -> None:
        opened.run("""
          fetch("http://127.0.0.1:9/x").catch(() => {});
          document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.1:9/x.png'>");
        """)
        assert opened.requests() == []


def contrasts(browser: Browser) -> list[float]:
    """The contrast of each text that is seen with the colour behind it, as WCAG 2.2 defines it."""
    pairs: list[list[list[float]]] = json.loads(
        browser.run("""
          const colour = (text) => text.match(/[\\d.]+/g).map(Number);
          const behind = (e) => {
            const found = colour(getComputedStyle(e).backgroundColor);
            return found.length === 3 || found[3] === 1 ? found.slice(0, 3) : behind(e.parentElement);
          };
          const texts = Array.from(document.querySelectorAll("body *")).filter((e) => e.checkVisibility()
            && e.getAttribute("aria-disabled") !== "true" && e.tagName !== "SCRIPT"
            && Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim()));
          return JSON.stringify(texts.map((e) => [colour(getComputedStyle(e).color).slice(0, 3), behind(e)]));
        """)
    )
    assert len(pairs) > 50

    def luminance(colour: list[float]) -> float:
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(pair: list[list[float]]) -> float:
        dark, light = sorted(map(luminance, pair))
        return (light + 0.05) / (dark + 0.05)

    return list(map(contrast, pairs))
