"""Requests: rows, limits, errors and the small routes, without a socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route

from cmfl_export import Detector, PackageError
from cmfl_export.base.versions import own_version
from cmfl_export.runtime import columns_with
from cmfl_export.serve.app import build
from cmfl_export.serve.options import ServeOptions
from cmfl_export.serve.pace import Pace
from cmfl_export.serve.service import Service
from tests.cmfl_export import pictured_model
from tests.cmfl_export.photographs import group
from tests.cmfl_export.serve.servers import Gate, ask, chunks, form, get, post, reached, service, until


def error_of(response: httpx.Response, code: int) -> str:
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == "application/json"
    error: str = response.json()["error"]
    return error


class TestRows:
    def test_are_those_of_the_detector(self, tiny: Path, faces: Path) -> None:
        files = [faces / "a.png", faces / "b.png", faces / "sub folder/c.png", faces / "bad.jpg"]
        detector = Detector(tiny, provider="onnxruntime")
        rows, columns = detector.predict([str(file) for file in files]), columns_with(detector.groups)
        expected = [row.record(columns) | {"path": file.name} for row, file in zip(rows, files, strict=True)]
        response = post(service(tiny), files=form(*files))
        assert response.json() == {"results": expected}
        assert [row["p_real"] for row in expected] == [0.2, 0.4, 0.8, None]

    def test_a_body_is_one_image(self, tiny: Path, faces: Path) -> None:
        (row,) = post(service(tiny), content=(faces / "b.png").read_bytes()).json()["results"]
        assert (row["path"], row["p_real"], row["status"]) == ("", 0.4, "ok")

    def test_an_empty_body_has_a_row(self, tiny: Path) -> None:
        (row,) = post(service(tiny)).json()["results"]
        assert (row["status"], row["error"]) == ("empty", "the file is empty")

    def test_one_bad_of_eight_fails_alone(self, tiny: Path, faces: Path) -> None:
        files = [faces / "a.png"] * 3 + [faces / "bad.jpg"] + [faces / "b.png"] * 4
        rows = post(service(tiny), files=form(*files)).json()["results"]
        assert [row["p_real"] for row in rows] == [0.2] * 3 + [None] + [0.4] * 4
        assert [row["status"] for row in rows] == ["ok"] * 3 + ["not_an_image"] + ["ok"] * 4

    def test_too_many_pixels_have_a_status(self, tiny: Path, faces: Path) -> None:
        served = Service(Detector(tiny, provider="onnxruntime", max_pixels=1000), ServeOptions(), None)
        (row,) = post(served, files=form(faces / "a.png")).json()["results"]
        assert (row["status"], row["error"]) == (
            "too_large",
            "224 x 224 pixels, more than the limit of 1000",
        )

    def test_faces_are_looked_for_where_asked(self, tiny: Path, faces: Path, tmp_path: Path) -> None:
        photograph = tmp_path / "two.png"
        group((150, 20, 30), (110, 250, 80), size=(400, 220)).save(photograph)
        expected = Detector(tiny, provider="onnxruntime", align="all").predict([str(photograph)])
        columns = columns_with(["faces", "geometry"])
        rows = post(service(tiny), "?align=all", files=form(photograph, faces / "a.png")).json()["results"]
        assert len(rows) == 3
        assert rows[:-1] == [row.record(columns) | {"path": photograph.name} for row in expected]
        assert rows[-1]["status"] == "no_face"

    def test_faces_cannot_be_looked_for(
        self, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise PackageError("install it")

        monkeypatch.setattr(Detector, "aligning", fail)
        response = post(service(tiny), "?align=largest", files=form(faces / "a.png"))
        assert error_of(response, 501) == "this server cannot look for faces: install it"

    def test_names_come_back_as_they_were_sent(self, tiny: Path, faces: Path) -> None:
        data = (faces / "a.png").read_bytes()
        names = ["übung \u202e.png", "../../etc/passwd", ""]
        boundary = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        body = b"".join(boundary % (name.encode(), data) for name in names) + b"--x--\r\n"
        response = post(
            service(tiny), content=body, headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert [row["path"] for row in response.json()["results"]] == names


class TestPictures:
    def test_are_files_in_base64(self, tmp_path: Path, faces: Path) -> None:
        served = service(pictured_model.write(tmp_path / "m.onnx"))
        query = "?pictures=image,heatmap,spectrum"
        good, bad = post(served, query, files=form(faces / "a.png", faces / "bad.jpg")).json()["results"]
        assert set(good["pictures"]) == {"image", "heatmap_rgb", "heatmap_spectrum", "spectrum"}
        image = Image.open(io.BytesIO(base64.b64decode(good["pictures"]["image"])))
        assert (image.format, image.size) == ("JPEG", (224, 224))
        np.testing.assert_allclose(np.array(image), np.array(Image.open(faces / "a.png")), atol=1)
        grey = Image.open(io.BytesIO(base64.b64decode(good["pictures"]["spectrum"])))
        assert (grey.format, grey.size) == ("PNG", (224, 224))
        assert np.array(grey).min() == np.array(grey).max() == 51
        assert bad["pictures"] == {}

    def test_of_the_image_need_no_output(self, tiny: Path, faces: Path) -> None:
        (row,) = post(service(tiny), "?pictures=image", files=form(faces / "a.png")).json()["results"]
        assert set(row["pictures"]) == {"image"}

    def test_as_numbers(self, tmp_path: Path, faces: Path) -> None:
        served = service(pictured_model.write(tmp_path / "m.onnx"))
        good, bad = post(served, "?values=heatmap", files=form(faces / "a.png", faces / "bad.jpg")).json()[
            "results"
        ]
        assert good["values"] == dict.fromkeys(("heatmap_rgb", "heatmap_spectrum"), [[51.0] * 14] * 14)
        assert bad["values"] == {}
        assert "pictures" not in good

    @pytest.mark.parametrize("query", ["?pictures=heatmap", "?values=heatmap"])
    def test_a_model_without_them(self, tiny: Path, faces: Path, query: str) -> None:
        response = post(service(tiny), query, files=form(faces / "a.png"))
        assert error_of(response, 400) == "this model has no heatmap among its outputs"


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("?align=some", "align must be one of: auto, all, largest, none"),
            ("?pictures=cat", "pictures must be of: image, heatmap, spectrum"),
            ("?url=http://x/", "no parameter 'url'; there are: align, pictures, values"),
            ("?values=cat", "values must be: heatmap"),
        ],
    )
    def test_of_queries(self, tiny: Path, query: str, message: str) -> None:
        assert error_of(post(service(tiny), query), 400) == message

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"nonsense", "the form is damaged"),
            (b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nabc', "the form ends too early"),
            (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n', "the form has a field 'file'"),
            (b"--x--\r\n", "the form has no images; they go in the field files"),
            (b"", "the form ends too early"),
        ],
    )
    def test_of_forms(self, tiny: Path, body: bytes, message: str) -> None:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        assert message in error_of(post(service(tiny), content=body, headers=kind), 400)

    def test_of_a_form_without_a_boundary(self, tiny: Path) -> None:
        kind = {"content-type": "multipart/form-data"}
        assert "no boundary" in error_of(post(service(tiny), content=b"x", headers=kind), 400)

    def test_too_many_images(self, tiny: Path, faces: Path) -> None:
        response = post(service(tiny, max_files=2), files=form(*[faces / "a.png"] * 3))
        assert error_of(response, 413) == "more than 2 images in one request"

    def test_a_length_that_is_too_much_is_refused_unread(self, tiny: Path) -> None:
        given: list[int] = []
        headers = {"content-length": str(5 << 20)}
        response = post(service(tiny, max_body_mb=1), content=chunks(5 << 20, given), headers=headers)
        assert error_of(response, 413) == "the body is longer than the limit of 1048576 bytes"
        assert response.headers["connection"] == "close"
        assert not given

    @pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
    def test_bytes_are_counted_as_they_come(self, tiny: Path, kind: str) -> None:
        given: list[int] = []
        head = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n'

        async def body() -> object:
            yield head
            async for chunk in chunks(5 << 20, given):
                yield chunk

        served = service(tiny, max_body_mb=1)
        response = post(served, content=body(), headers={"content-type": kind})
        assert error_of(response, 413) == "the body is longer than the limit of 1048576 bytes"
        # The rest of the body was not asked for.
        assert sum(given) <= (1 << 20) + (1 << 16)
        assert response.headers["connection"] == "close"
        assert served.store.held == 0

    def test_all_bodies_together(self, tiny: Path) -> None:
        served = service(tiny, max_body_mb=4, max_held_mb=1)
        response = post(served, content=chunks(2 << 20, []))
        assert error_of(response, 429) == "the server has too many images to hold"
        assert response.headers["retry-after"] == "1"

    def test_unknown_paths_and_methods(self, tiny: Path) -> None:
        assert error_of(get(service(tiny), "/v2/predict"), 404) == "not found"
        response = get(service(tiny), "/v1/predict")
        assert error_of(response, 405) == "method not allowed"
        assert response.headers["allow"] == "POST"

    def test_a_model_that_fails_says_so_once(
        self,
        tiny: Path,
        faces: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        served = service(tiny)

        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError("two\nlines")

        monkeypatch.setattr(served.scorer.detector, "outputs_of", fail)
        assert error_of(post(served, files=form(faces / "a.png")), 500) == "internal error"
        (record,) = (record for record in caplog.records if record.name == "cmfl")
        assert "\n" not in record.getMessage()
        assert "ZeroDivisionError" in record.getMessage()


class TestQueue:
    def test_full(self, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        served = service(tiny, max_queue=2)
        gate = Gate(served.scorer.detector)
        monkeypatch.setattr(served.scorer.detector, "outputs_of", gate)
        files = form(faces / "a.png", faces / "b.png")

        async def talk(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
            first = asyncio.create_task(client.post("/v1/predict", files=files))
            await reached(gate)
            refused = await client.post("/v1/predict", files=files)
            gate.opened.set()
            return await first, refused

        first, refused = ask(served, talk)
        assert [row["p_real"] for row in first.json()["results"]] == [0.2, 0.4]
        assert error_of(refused, 429) == "2 images are waiting"
        assert refused.headers["retry-after"] == "1"
        assert served.scorer.pace.images == 0

    def test_says_when_to_come_again(self, tiny: Path, faces: Path) -> None:
        served = service(tiny, max_queue=2)
        now = [0.0]
        served.scorer.pace = pace = Pace(lambda: now[0])
        pace.enter(3)
        now[0] = 3.5
        pace.leave(1)
        response = post(served, files=form(faces / "a.png"))
        assert error_of(response, 429) == "2 images are waiting"
        assert response.headers["retry-after"] == "7"

    def test_what_would_miss_the_deadline_is_refused_at_once(self, tiny: Path, faces: Path) -> None:
        served = service(tiny, deadline=10.0)
        now = [0.0]
        served.scorer.pace = pace = Pace(lambda: now[0])
        pace.enter(4)
        now[0] = 2.5
        pace.leave(1)
        # At 2.5 s per image the fifth would be too late, the fourth is done in time.
        codes = [post(served, files=form(*[faces / "a.png"] * images)).status_code for images in (2, 1)]
        assert codes == [429, 200]

    def test_deadline(self, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        served = service(tiny, deadline=0.5)
        gate = Gate(served.scorer.detector)
        monkeypatch.setattr(served.scorer.detector, "outputs_of", gate)

        async def talk(client: httpx.AsyncClient) -> httpx.Response:
            late = await client.post("/v1/predict", files=form(faces / "a.png"))
            gate.opened.set()
            return late

        response = ask(served, talk)
        assert error_of(response, 503) == "not done before the deadline"
        assert response.headers["retry-after"] == "1"
        assert served.scorer.pace.images == served.store.held == 0

    def test_a_body_that_does_not_come(self, tiny: Path) -> None:
        async def body() -> object:
            yield b"x"
            await asyncio.Event().wait()

        assert error_of(post(service(tiny, deadline=0.1), content=body()), 408) == "the body came too slowly"

    def test_work_of_a_client_that_left_is_not_run(
        self, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served = service(tiny)
        gate = Gate(served.scorer.detector)
        monkeypatch.setattr(served.scorer.detector, "outputs_of", gate)
        left = asyncio.Event()
        app = build(served)
        body = [{"type": "http.request", "body": (faces / "b.png").read_bytes(), "more_body": False}]

        async def receive() -> dict[str, object]:
            if body:
                return body.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            raise AssertionError(message)

        async def talk(client: httpx.AsyncClient) -> httpx.Response:
            first = asyncio.create_task(client.post("/v1/predict", files=form(faces / "a.png")))
            await reached(gate)
            scope = {
                **{"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b""},
                "headers": [(b"host", b"localhost")],
            }
            leaving = asyncio.create_task(app(scope, receive, send))
            await until(lambda: served.scorer.pace.images == 2)
            left.set()
            await leaving
            assert served.scorer.pace.images == 1
            gate.opened.set()
            return await first

        assert ask(served, talk).json()["results"][0]["p_real"] == 0.2
        assert gate.images == [1]
        assert 'code="499",route="/v1/predict"' in served.metrics.text().decode()


class TestToken:
    @pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic secret", "secret", "Bearer", "Bearer ü"])
    def test_refused_without_it(self, tiny: Path, given: str | None) -> None:
        headers = [] if given is None else [(b"authorization", given.encode())]
        response = ask(service(tiny, "secret"), lambda client: client.get("/v1/model", headers=headers))
        assert error_of(response, 401) == "the token is missing or wrong"
        assert response.headers["www-authenticate"] == "Bearer"

    def test_with_it(self, tiny: Path) -> None:
        response = get(service(tiny, "secret"), "/v1/model", headers={"authorization": "bearer secret"})
        assert response.status_code == 200

    def test_service_managers_need_none(self, tiny: Path) -> None:
        assert get(service(tiny, "secret"), "/livez").json() == {"live": True}


class TestHosts:
    """A web page of another name that points at this machine (DNS rebinding) asks by that name."""

    def code(self, tiny: Path, name: str, path: str = "/v1/model", **options: Any) -> int:
        return get(service(tiny, **options), path, headers={"host": name}).status_code

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "localhost."]
    )
    def test_its_own_are_served(self, tiny: Path, host: str) -> None:
        assert self.code(tiny, host) == 200

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]", ""])
    def test_others_are_refused(self, tiny: Path, host: str) -> None:
        assert self.code(tiny, host) == 421

    def test_the_refusal_says_what_to_do(self, tiny: Path) -> None:
        response = get(service(tiny), "/v1/model", headers={"host": "evil.example"})
        assert error_of(response, 421) == "this server has another name; --allow-host gives it more"

    def test_more_can_be_given(self, tiny: Path) -> None:
        names = ("Scores.example", "[fd00::1]")
        assert self.code(tiny, "scores.example:8443", allow_hosts=names) == 200
        assert self.code(tiny, "[fd00::1]", allow_hosts=names) == 200
        assert self.code(tiny, "other.example", allow_hosts=names) == 421

    def test_all_are_served_where_other_machines_ask(self, tiny: Path) -> None:
        assert self.code(tiny, "any.example", host="0.0.0.0") == 200
        given: dict[str, Any] = {"host": "0.0.0.0", "allow_hosts": ("scores.example",)}
        assert [self.code(tiny, name, **given) for name in ("scores.example", "any.example")] == [200, 421]

    def test_load_balancers_ask_by_address(self, tiny: Path) -> None:
        assert self.code(tiny, "10.0.0.1", "/livez") == 200


class TestOrigins:
    def test_none_unless_asked_for(self, tiny: Path) -> None:
        response = get(service(tiny), "/livez", headers={"origin": "https://a.example"})
        assert "access-control-allow-origin" not in response.headers

    def test_those_that_were_named(self, tiny: Path) -> None:
        for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
            served = service(tiny, allow_origins=("https://a.example",))
            response = get(served, "/livez", headers={"origin": origin})
            assert ("access-control-allow-origin" in response.headers) == allowed


class TestSmallRoutes:
    def test_ready_after_the_warm_up(self, tiny: Path) -> None:
        served = service(tiny)

        async def talk(client: httpx.AsyncClient) -> list[int]:
            before = await client.get("/readyz")
            await served.warm_up()
            return [before.status_code, (await client.get("/readyz")).status_code]

        assert ask(served, talk) == [503, 200]

    def test_model(self, tiny: Path) -> None:
        detector = Detector(tiny, provider="onnxruntime")
        assert get(service(tiny), "/v1/model").json() == {
            "card": json.loads(detector.card.to_json()),
            "sha256": detector.sha256,
            "provider": "cpu",
            "threshold": 0.5,
            "band": None,
            "aligned": True,
            "aligns": True,
            "version": own_version(),
        }

    def test_metrics(self, tiny: Path, faces: Path) -> None:
        async def talk(client: httpx.AsyncClient) -> str:
            await client.post("/v1/predict", files=form(faces / "a.png", faces / "bad.jpg"))
            await client.get("/nothing/of/the/sort")
            return (await client.get("/metrics")).text

        found = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(ask(service(tiny), talk))
            for sample in family.samples
        }
        assert found["cmfl_requests_total", ("code", "200"), ("route", "/v1/predict")] == 1
        assert found["cmfl_requests_total", ("code", "404"), ("route", "other")] == 1
        assert found["cmfl_rows_total", ("status", "ok")] == 1
        assert found["cmfl_rows_total", ("status", "not_an_image")] == 1
        assert found[("cmfl_batch_images_count",)] == found[("cmfl_batch_images_sum",)] == 1
        assert found["cmfl_request_seconds_count", ("route", "/v1/predict")] == 1
        assert found[("cmfl_queue_images",)] == 0
        assert found[("cmfl_images_per_second",)] == pytest.approx(1 / 60)
        assert {("provider", "cpu"), ("name", "tiny")} <= {pair for name in found for pair in name[1:]}


class TestDocument:
    def test_has_exactly_the_routes(self, tiny: Path) -> None:
        served = service(tiny)
        routes = {
            (route.path, method.lower())
            for route in build(served).routes
            if isinstance(route, Route)
            for method in route.methods or ()
            if method != "HEAD"
        }
        paths = get(served, "/openapi.json").json()["paths"]
        assert {(path, method) for path, methods in paths.items() for method in methods} == routes

    def test_has_the_columns_of_a_row(self, tiny: Path) -> None:
        row = get(service(tiny), "/openapi.json").json()["components"]["schemas"]["Row"]
        assert list(row["properties"]) == [
            *columns_with(["faces", "geometry", "domain"]),
            "pictures",
            "values",
        ]

    @pytest.mark.parametrize("token", [None, "secret"])
    def test_says_whether_there_is_a_token(self, tiny: Path, token: str | None) -> None:
        document = service(tiny, token).document()
        assert ("security" in document["paths"]["/v1/predict"]["post"]) == bool(token)
        assert ("401" in document["paths"]["/metrics"]["get"]["responses"]) == bool(token)
        assert "security" not in document["paths"]["/livez"]["get"]

    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
    def test_says_whether_hosts_are_checked(self, tiny: Path, host: str) -> None:
        paths = service(tiny, host=host).document()["paths"]
        assert ("421" in paths["/v1/model"]["get"]["responses"]) == (host == "127.0.0.1")
        assert "421" not in paths["/livez"]["get"]["responses"]
