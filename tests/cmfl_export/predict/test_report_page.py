"""The report of predict: what is in the page, before any browser."""

from __future__ import annotations

import base64
import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.base.text import visible
from cmfl_export.detector import Detector
from cmfl_export.images.status import Status
from cmfl_export.predict import report_rows
from cmfl_export.predict.report_rows import ReportRows
from cmfl_export.predict.run import predict_to
from cmfl_export.report import heatmaps
from cmfl_export.runtime.decision import DecisionRule
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export import pictured_model, tiny_model
from tests.cmfl_export.example_rows import CARD, Scorer, data, extras, failure, many, pictures, row, write
from tests.cmfl_export.report.test_html import HOSTILE, Elements


def test_rows_are_most_suspicious_first_and_failures_last(tmp_path: Path) -> None:
    rows = [row("b", 0.9), failure("x"), row("a", 0.1), row("first of equals", 0.4), row("second", 0.4)]
    found = data(write(tmp_path / "r.html", rows))["rows"]
    assert [one["path"] for one in found] == ["a", "first of equals", "second", "b", "x"]
    assert [one["number"] for one in found] == [3, 4, 5, 1, 2]
    assert found[-1]["scores"] == [None, None, None]
    assert (found[-1]["status"], found[-1]["error"]) == ("not_an_image", "not an image")


def test_faces_of_a_photograph_are_told_apart(tmp_path: Path) -> None:
    rows = [row("a/two.png", 0.1, face=0, faces=2), row("a/two.png", 0.2, face=1, faces=2)]
    rows += [row("one.png", 0.3, face=0, faces=1), failure("no.png", Status.NO_FACE, "no face found")]
    page = write(tmp_path / "r.html", rows, align="all")
    assert [(one["path"], one["name"]) for one in data(page)["rows"]] == [
        ("a/two.png (face 1 of 2)", "two.png (face 1 of 2)"),
        ("a/two.png (face 2 of 2)", "two.png (face 2 of 2)"),
        ("one.png", "one.png"),
        ("no.png", "no.png"),
    ]
    text = page.read_text()
    assert "a/two.png (face 2 of 2)</bdi>" in text
    assert "<dt>Inputs</dt><dd>3</dd>" in text
    assert "<dt>Faces</dt><dd>3</dd>" in text
    assert "every face of each image, found and aligned first" in text
    assert "the largest face of each" in write(tmp_path / "l.html", rows, align="largest").read_text()


def test_the_most_suspicious_keep_their_pictures(tmp_path: Path) -> None:
    rows = many(40, pictures=40)
    page = write(tmp_path / "r.html", rows, pictures=12)
    expected = [one["number"] for one in data(page)["rows"][:12]]
    assert list(pictures(page)) == expected
    assert [one["number"] for one in data(page)["rows"] if one["picture"]] == expected
    assert "The 12 most suspicious images are here as pictures" in page.read_text()
    assert not pictures(write(tmp_path / "none.html", rows, pictures=0))
    assert "as pictures, the others" not in write(tmp_path / "all.html", rows, pictures=40).read_text()


def test_pictures_go_to_the_page_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = report_rows.Picture(bytes(75_000), b"", {}, {})
    monkeypatch.setattr(report_rows.Picture, "of", lambda _: one)
    rows = many(300, pictures=300)
    write(tmp_path / "first.html", rows, pictures=1)
    tracemalloc.start()
    try:
        page = write(tmp_path / "r.html", rows, pictures=300)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert page.stat().st_size > 300 * 100_000
    assert peak < 3_000_000


def test_a_picture_is_what_the_model_saw(tmp_path: Path) -> None:
    values = extras(3)
    page = write(tmp_path / "r.html", [row("a", 0.1, 0.2, 0.3, extras=values)])
    saved = pictures(page)[1]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(saved["image"]))))
    assert np.abs(image.astype(int) - values["image"]).mean() < 2
    spectrum = Image.open(io.BytesIO(base64.b64decode(saved["spectrum"])))
    assert (spectrum.size, spectrum.mode) == ((112, 112), "L")
    levels = np.frombuffer(base64.b64decode(saved["heatmaps"]["rgb"]), np.uint8).reshape(14, 14)
    assert (levels == heatmaps.levels(values["heatmap_rgb"])).all()
    assert saved["peaks"]["rgb"] == pytest.approx(0.023)
    assert data(page)["peaks"] == pytest.approx({"rgb": 0.023, "spectrum": 0.023})
    assert base64.b64decode(data(page)["colours"]) == heatmaps.colours().tobytes()


def test_rows_and_failures_beyond_the_limits_are_only_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_rows, "_MOST_SCORED", 10)
    monkeypatch.setattr(report_rows, "_MOST_FAILED", 3)
    rows = [*many(50), *(failure(str(number)) for number in range(5))]
    page = write(tmp_path / "r.html", rows, pictures=1)
    paths = [one["path"] for one in data(page)["rows"]]
    assert paths == [*(f"folder/{rank:05d}.png" for rank in range(10)), "0", "1", "2"]
    assert "13 of 55 rows are on this page" in page.read_text()
    assert "<dd>55</dd>" in page.read_text()


def test_the_rows_of_a_report_are_all_counted() -> None:
    found = ReportRows(DecisionRule(0.5), 0)
    for one in (row("a", 0.2, 0.4, 0.6), row("b", 0.5, 0.5, 0.9), row("c", 1.0), row("d", 0.0)):
        found.add(one)
    found.add(failure("e", Status.EMPTY), earlier=True)
    assert (found.total, found.real, found.synthetic, found.disagree, found.earlier) == (5, 2, 2, 1, 1)
    assert found.failed == {Status.EMPTY: 1}
    assert found.histogram.sum(axis=1).tolist() == [2, 0, 2]
    assert (found.histogram[0, 0], found.histogram[0, 8]) == (1, 1)
    assert (found.histogram[2, 20], found.histogram[2, 39]) == (1, 1)


def test_a_band_is_shown_with_what_is_uncertain(tmp_path: Path) -> None:
    rows = [row("a", 0.1, 0.1, 0.9), row("b", 0.9, 0.45, 0.9)]
    rows += [replace(row("c", value, 0.45, 0.55), decision="uncertain") for value in (0.4, 0.5, 0.59)]
    page = write(tmp_path / "r.html", rows, band=(0.4, 0.6))
    found = data(page)
    assert (found["threshold"], found["band"]) == (0.5, [0.4, 0.6])
    # Branches that are on the two sides of the threshold, but both within the band, do not disagree.
    assert [one["disagree"] for one in found["rows"]] == [True, False, False, False, False]
    text = page.read_text()
    assert "<dt>Uncertain</dt><dd>3</dd>" in text
    assert "<dt>Real</dt><dd>1</dd>" in text
    assert 'class="uncertain"' in text
    assert "uncertain from 0.4 to 0.6" in text
    assert "real from 0.6 on, synthetic below 0.4" in " ".join(text.split())
    without = write(tmp_path / "w.html", rows[:2]).read_text()
    assert "<dt>Uncertain</dt>" not in without
    assert "called real from the threshold 0.5 on" in without


def test_the_page_says_which_model_threshold_and_tool(tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", [row("a", 0.1)], threshold=0.25, provider="cuda").read_text()
    assert "this run&#39;s; the card says 0.5" in page
    assert "<dt>Threshold</dt><dd>0.25</dd>" in page
    assert "<dt>Ran on</dt><dd>cuda</dd>" in page
    # SHA-256 of "model", what the stand-in's file holds.
    assert "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4" in page
    assert "A score is evidence and not proof" in page
    assert "<caption>Model card of tiny</caption>" in page
    assert "made up for a test" in write(tmp_path / "own.html", [row("a", 0.1)]).read_text()


@pytest.mark.parametrize("outputs", [(), ("spectrum",), ("heatmap_rgb", "heatmap_spectrum")])
def test_a_model_without_pictures_says_what_to_export(tmp_path: Path, outputs: tuple[str, ...]) -> None:
    card = tiny_model.card((*tiny_model.SCORES, *outputs))
    rows = [row("a", 0.1, 0.2, 0.3, extras=extras(1, outputs))]
    page = write(tmp_path / "r.html", rows, card=card)
    lacking = ",".join(heatmaps.lacking(card))
    assert f"--outputs {lacking}</p>" in page.read_text()
    assert bool(pictures(page)[1]["spectrum"]) == ("spectrum" in outputs)
    assert bool(pictures(page)[1]["heatmaps"]) == ("heatmap_rgb" in outputs)


def test_a_one_stream_model_has_one_score(tmp_path: Path) -> None:
    card = replace(tiny_model.card(("p_real", "heatmap_rgb")), architecture="one_stream", spectra="rgb")
    page = write(tmp_path / "r.html", [row("a", 0.1, extras=extras(1, ["heatmap_rgb"]))], card=card)
    assert data(page)["branches"] is False
    assert data(page)["rows"][0]["scores"] == [0.1, None, None]
    assert "--outputs" not in page.read_text()
    assert "Branches disagree</dt>" not in page.read_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(tmp_path: Path, name: str) -> None:
    innocent = write(tmp_path / "a.html", [row("name", 0.1), failure("name", error="error")])
    hostile = write(tmp_path / "b.html", [row(name, 0.1), failure(name, error=name)])
    assert Elements(hostile.read_text()).tags() == Elements(innocent.read_text()).tags()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_model_card_stays_text(tmp_path: Path, value: str) -> None:
    innocent = write(tmp_path / "a.html", [row("a", 0.1)], provider="cpu", passed_over="none").read_text()
    card = replace(CARD, name=value, data=value, threshold_source=value, intended_use=value)
    card = replace(card, training={value: value})
    scorer: dict[str, Any] = {"card": card, "provider": value, "passed_over": value}
    parsed = Elements(write(tmp_path / "b.html", [row("a", 0.1)], **scorer).read_text())
    assert parsed.tags() == Elements(innocent).tags()
    # The title, the subtitle, the model, its data and threshold, where it ran (twice), the card's caption,
    # and items of the card.
    assert "".join(parsed.text).count(visible(value)) >= 10


def test_links_lead_from_the_page_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    names = ["a b#1?.png", "javascript:alert(1)", "not utf-8 \udcff.png"]
    paths = [str(tmp_path / "faces" / name) for name in names]
    rows = [*(row(path, 0.1) for path in paths), failure(paths[0], Status.NOT_FOUND)]
    found = data(write(tmp_path / "page.html", rows))["rows"]
    links = ["faces/a%20b%231%3F.png", "faces/javascript%3Aalert%281%29", "faces/not%20utf-8%20%FF.png", ""]
    assert [one["link"] for one in found] == links


def test_without_javascript_there_is_a_table(tmp_path: Path) -> None:
    text = write(tmp_path / "r.html", many(500)).read_text()
    plain = text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "The 200 most suspicious of 500 images" in plain
    assert plain.count("<tr>") == 201
    assert "folder/00000.png" in plain


# ---- within predict_to ----


def test_predict_writes_rows_as_before_and_a_report(tiny: Path, faces: Path, tmp_path: Path) -> None:
    predict_to(tiny, [str(faces)], tmp_path / "without.csv", provider="cpu")
    page = tmp_path / "sub" / "r.html"
    summary = predict_to(tiny, [str(faces)], tmp_path / "with.csv", provider="cpu", report=page)
    assert summary.lines()[-1] == f"report in {page}"
    assert (tmp_path / "with.csv").read_bytes() == (tmp_path / "without.csv").read_bytes()
    rows = data(page)["rows"]
    assert [one["name"] for one in rows] == ["a.png", "b.png", "c.png", "bad.jpg"]
    assert list(pictures(page)) == [one["number"] for one in rows[:3]]
    assert "cut short" not in page.read_text()
    assert not list(tmp_path.rglob(".*"))


def test_a_real_run_gives_every_picture(faces: Path, tmp_path: Path) -> None:
    model = pictured_model.write(tmp_path / "model.onnx")
    predict_to(model, [str(faces)], tmp_path / "rows.csv", provider="cpu", report=tmp_path / "r.html")
    saved = pictures(tmp_path / "r.html")
    assert len(saved) == 3
    assert all(one["spectrum"] and set(one["heatmaps"]) == {"rgb", "spectrum"} for one in saved.values())
    assert data(tmp_path / "r.html")["peaks"] == {"rgb": 204, "spectrum": 204}


def test_extras_are_fetched_for_a_report_only(
    tiny: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def stream(self: Detector, pictures: Iterator[Any], *, extras: bool = False) -> Iterator[Prediction]:
        asked.append(extras)
        return iter(())

    monkeypatch.setattr(Detector, "stream", stream)
    predict_to(tiny, [str(faces)], tmp_path / "a.csv", provider="cpu")
    predict_to(tiny, [str(faces)], tmp_path / "a.csv", provider="cpu", report=tmp_path / "r.html")
    assert asked == [False, True]


def test_a_resumed_run_reports_the_earlier_rows_too(tiny: Path, faces: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "rows.csv", tmp_path / "r.html"
    predict_to(tiny, [str(faces / "b.png"), str(faces / "bad.jpg")], output, provider="cpu")
    predict_to(tiny, [str(faces)], output, provider="cpu", report=page, resume=True)
    found = {one["name"]: (one["earlier"], one["picture"]) for one in data(page)["rows"]}
    new, old = (False, True), (True, False)
    assert found == {"a.png": new, "b.png": old, "c.png": new, "bad.jpg": old}
    assert "2 rows were scored by an earlier run" in page.read_text()
    assert "as pictures, the others" not in page.read_text()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), CmflError("GPU lost")])
def test_a_run_that_is_cut_short_has_its_report(
    tiny: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    rows_before = 1

    def stream(self: Detector, pictures: Iterator[Any], *, extras: bool = False) -> Iterator[Prediction]:
        for _ in range(rows_before):
            yield row(next(pictures), 0.25)
        raise interruption

    monkeypatch.setattr(Detector, "stream", stream)
    page = tmp_path / "r.html"
    with pytest.raises(type(interruption)):
        predict_to(tiny, [str(faces)], tmp_path / "rows.csv", provider="cpu", report=page)
    assert len(data(page)["rows"]) == 1
    assert "The run was cut short" in page.read_text()
    # Without a row there is nothing to report, and what was there stays.
    page.write_text("kept")
    rows_before = 0
    with pytest.raises(type(interruption)):
        predict_to(tiny, [str(faces)], tmp_path / "rows.csv", provider="cpu", report=page)
    assert page.read_text() == "kept"


def test_a_report_that_cannot_be_written_is_told_before_the_run(
    tiny: Path, faces: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("kept")
    folder = tmp_path / "folder.html"
    folder.mkdir()
    for report, message in (
        (output, "the report is written to .html, not to"),
        (folder, "it is a folder"),
        (output / "r.html", "cannot write"),
    ):
        with pytest.raises(CmflError, match=message):
            predict_to(tiny, [str(faces)], output, provider="cpu", report=report)
    with pytest.raises(CmflError, match="at least 0, not -1"):
        predict_to(tiny, [str(faces)], output, provider="cpu", report=tmp_path / "r.html", report_images=-1)
    assert output.read_text() == "kept"


def test_the_stand_in_is_like_a_detector(tiny: Path) -> None:
    detector = Detector(tiny, provider="cpu")
    assert all(hasattr(detector, name) for name in Scorer.__dataclass_fields__)
