"""The page of the server: in a browser its rows are those of a request."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from cmfl_export.base.csv_lines import csv_record
from cmfl_export.runtime import COLUMNS, FACE_COLUMNS
from cmfl_export.runtime.domain import fitted
from tests.cmfl_export import pictured_model, tiny_model
from tests.cmfl_export.browser import Browser
from tests.cmfl_export.photographs import group
from tests.cmfl_export.serve.live import listening
from tests.cmfl_export.serve.servers import Gate, form, get, service
from tests.cmfl_export.web.pages import choose, results, saved, until


def csv_of(answer: httpx.Response, columns: tuple[str, ...] = COLUMNS) -> bytes:
    """The rows of an answer as predict writes them."""
    records = [[row[column] for column in columns] for row in answer.json()["results"]]
    return b"".join(map(csv_record, [columns, *records]))


class TestRoute:
    def test_is_free_and_has_no_secret(self, tiny: Path) -> None:
        response = get(service(tiny, "hunter2"), "/")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "hunter2" not in response.text
        assert '"token":true' in response.text
        assert "tiny" not in response.text

    def test_has_a_policy_for_itself_alone(self, tiny: Path) -> None:
        policy = get(service(tiny), "/").headers["content-security-policy"]
        directives = dict(part.split(" ", 1) for part in policy.split("; "))
        assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
        assert directives["connect-src"] == "'self'"
        assert directives["script-src"].startswith("'sha256-")
        assert "unsafe" not in policy

    def test_says_whether_faces_can_be_looked_for(self, tiny: Path) -> None:
        assert get(service(tiny), "/v1/model").json()["aligns"] is True


class TestRows:
    def test_are_those_of_a_request(self, browser: Browser, tiny: Path, faces: Path, tmp_path: Path) -> None:
        files = [faces / "b.png", faces / "a.png", faces / "bad.jpg"]
        with listening(service(tiny)) as live:
            browser.open(live.address)
            choose(browser, *files)
            results(browser, 3)
            answer = httpx.post(f"{live.address}v1/predict", files=form(*files))
            assert saved(browser, tmp_path) == csv_of(answer)
            assert browser.texts("#cards .path") == ["b.png", "a.png", "bad.jpg"]
            assert browser.texts("#cards strong") == ["0.400", "0.200"]
            assert browser.texts("#cards .none") == [answer.json()["results"][2]["error"]]
            assert browser.one("#privacy").text == (
                f"The images are sent to {live.address[7:-1]}, which scores them and keeps none."
            )
            assert browser.complaints() == []
            allowed = (f"{live.address}v1/predict", f"{live.address}v1/model")
            assert all(address.startswith(allowed) for address in browser.requests())

    def test_of_faces(self, browser: Browser, tiny: Path, faces: Path, tmp_path: Path) -> None:
        photograph = tmp_path / "two.png"
        group((150, 20, 30), (110, 250, 80), size=(400, 220)).save(photograph)
        files = [photograph, faces / "a.png"]
        with listening(service(tiny)) as live:
            browser.open(live.address)
            until(browser, lambda: browser.one("#align").is_displayed())
            Select(browser.one("#align")).select_by_value("all")
            choose(browser, *files)
            results(browser, 3)
            answer = httpx.post(f"{live.address}v1/predict?align=all", files=form(*files), timeout=60)
            assert saved(browser, tmp_path) == csv_of(answer, (*COLUMNS, *FACE_COLUMNS))
            assert browser.texts("#cards .path")[1] == "two.png (face 2 of 2)"

    def test_with_a_domain(self, browser: Browser, tmp_path: Path) -> None:
        train = np.random.default_rng(0).normal((0.5, 0.4, 0.3), 0.05, (200, 3))
        outputs = (*tiny_model.SCORES, "embedding")
        model = pictured_model.write(tmp_path / "m.onnx", outputs, domain=fitted(train, 1).to_card())
        files = [tmp_path / "a.png", tmp_path / "b.png"]
        for file, colour in zip(files, [(128, 100, 77), (0, 255, 0)], strict=True):
            Image.new("RGB", (224, 224), colour).save(file)
        with listening(service(model)) as live:
            browser.open(live.address)
            choose(browser, *files)
            results(browser, 2)
            answer = httpx.post(f"{live.address}v1/predict", files=form(*files))
            expected = csv_of(answer, (*COLUMNS, "domain", "out_of_domain"))
            assert saved(browser, tmp_path) == expected.replace(b"True", b"true").replace(b"False", b"false")
            assert browser.texts("#cards .differ").count("Out of domain") == 1
            assert browser.one("#count-outside").text == "1"
            browser.one("#outside").click()
            assert browser.texts("#cards .path") == ["b.png"]

    def test_have_their_pictures(self, browser: Browser, tmp_path: Path) -> None:
        """The image that the model saw, and a heatmap that is strongest where the image is bright."""
        picture = Image.new("RGB", (224, 224), (10, 20, 30))
        picture.paste((250, 240, 230), (0, 160, 48, 224))
        picture.save(tmp_path / "x.png")
        with listening(service(pictured_model.write(tmp_path / "m.onnx"))) as live:
            browser.open(live.address)
            choose(browser, tmp_path / "x.png")
            results(browser, 1)
            browser.one("#cards button").click()
            assert browser.texts("#detail-pictures figcaption") == [
                "The image as the model saw it; heatmap of the RGB branch, strongest in the lower left.",
                "Its spectrum; heatmap of the spectrum branch, strongest in the lower left.",
            ]
            pixel = browser.driver.execute_async_script("""
              const image = document.querySelector("#detail-pictures img");
              image.decode().then(() => {
                const context = new OffscreenCanvas(224, 224).getContext("2d");
                context.drawImage(image, 0, 0);
                arguments[0](Array.from(context.getImageData(20, 200, 1, 1).data));
              });
            """)
            assert pixel == pytest.approx([250, 240, 230, 255], abs=6)

    def test_of_names_with_markup_and_folders(
        self, browser: Browser, tiny: Path, faces: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "set"
        names = ['<img src=x onerror=alert(1)> "1".png', "=1+1.png", "sub/a.png"]
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((faces / "a.png").read_bytes())
        with listening(service(tiny)) as live:
            browser.open(live.address)
            until(browser, lambda: browser.one("#intake").is_displayed())
            browser.one("#folder").send_keys(str(folder))
            results(browser, 3)
            rows = list(csv.reader(io.StringIO(saved(browser, tmp_path).decode())))
            assert [row[0] for row in rows[1:]] == [f"set/{name}" for name in names]
            assert browser.texts("#cards .path") == [Path(name).name for name in names]
            assert browser.complaints() == []


class TestLimits:
    def test_of_files_and_bytes(self, browser: Browser, tiny: Path, faces: Path, tmp_path: Path) -> None:
        """More files than fit into a request, and one that is larger than any."""
        large = tmp_path / "large.png"
        large.write_bytes(bytes(2 << 20))
        files = [*sorted(faces.glob("*.png")), large]
        with listening(service(tiny, max_files=1, max_body_mb=1)) as live:
            browser.open(live.address)
            choose(browser, *files)
            results(browser, 3)
            assert browser.texts("#cards strong") == ["0.200", "0.400"]
            assert browser.texts("#cards .badge")[2] == "too_large"

    def test_of_time_are_met_in_halves(
        self, browser: Browser, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that is too slow for two images at once, and for one of them alone."""
        served = service(tiny)
        records = served.scorer.records

        async def slow(uploads: Any, *rest: Any) -> Any:
            from cmfl_export.serve.limits import RefusedError

            if len(uploads) > 1 or len(uploads[0].data) < 10:
                raise RefusedError(503, "not done before the deadline", retry=True)
            return await records(uploads, *rest)

        monkeypatch.setattr(served.scorer, "records", slow)
        with listening(served) as live:
            browser.open(live.address)
            choose(browser, faces / "a.png", faces / "bad.jpg", faces / "b.png")
            results(browser, 3)
            assert browser.texts("#cards .badge") == ["synthetic", "too_slow", "synthetic"]
            assert browser.texts("#cards .none") == ["not done before the deadline"]

    def test_of_the_queue_are_waited_for(self, browser: Browser, tiny: Path, faces: Path) -> None:
        served = service(tiny, max_queue=2)
        with listening(served) as live:
            browser.open(live.address)
            served.scorer.pace.images = 2
            choose(browser, faces / "a.png")
            refused = 'cmfl_requests_total{code="429",route="/v1/predict"}'
            until(browser, lambda: refused in httpx.get(f"{live.address}metrics").text)
            served.scorer.pace.images = 0
            results(browser, 1)
            assert browser.texts("#cards strong") == ["0.200"]

    def test_cancel_drops_what_waits(
        self, browser: Browser, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served = service(tiny)
        gate = Gate(served.scorer.detector)
        monkeypatch.setattr(served.scorer.detector, "outputs_of", gate)
        with listening(served) as live:
            browser.open(live.address)
            choose(browser, faces / "a.png")
            assert gate.reached.wait(60)
            browser.one("#cancel").click()
            until(browser, lambda: served.scorer.pace.images == 0)
            gate.opened.set()
            choose(browser, faces / "b.png")
            results(browser, 1)
            assert browser.texts("#cards strong") == ["0.400"]


class TestTrouble:
    def test_a_server_that_has_ended(self, browser: Browser, tiny: Path, faces: Path) -> None:
        with listening(service(tiny)) as live:
            browser.open(live.address)
            until(browser, lambda: browser.one("#intake").is_displayed())
            live.end()
            choose(browser, faces / "a.png")
            until(browser, lambda: browser.one("#trouble").is_displayed())
            assert browser.one("#trouble-text").text == "The server cannot be reached."
            assert browser.one("#done").text == "0 of 1 scored"

    def test_a_token_is_asked_for(self, browser: Browser, tiny: Path, faces: Path) -> None:
        with listening(service(tiny, "secret")) as live:
            browser.open(live.address)
            until(browser, lambda: browser.one("#sign-in").is_displayed())
            assert not browser.one("#intake").is_displayed()
            field = browser.one("#token")
            assert field.get_attribute("type") == "password"
            field.send_keys("wrong", Keys.ENTER)
            until(browser, lambda: browser.one("#token-error").text)
            assert browser.one("#token-error").text == "The server refuses this token."
            field.clear()
            field.send_keys("secret", Keys.ENTER)
            choose(browser, faces / "a.png")
            results(browser, 1)
            assert browser.texts("#cards strong") == ["0.200"]
            stores = "[document.cookie, localStorage.length, sessionStorage.length]"
            assert browser.run(f"return {stores}") == ["", 0, 0]
            assert field.get_attribute("value") == ""

    def test_a_token_that_no_longer_holds(self, browser: Browser, tiny: Path, faces: Path) -> None:
        served = service(tiny, "secret")
        with listening(served) as live:
            browser.open(live.address)
            until(browser, lambda: browser.one("#sign-in").is_displayed())
            browser.one("#token").send_keys("secret", Keys.ENTER)
            until(browser, lambda: browser.one("#intake").is_displayed())
            served.token = "other"
            choose(browser, faces / "a.png")
            until(browser, lambda: browser.one("#sign-in").is_displayed())
            browser.one("#token").send_keys("other", Keys.ENTER)
            results(browser, 1)
            assert not browser.one("#trouble").is_displayed()
