"""Evaluation from files to files, on scores that are known."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate import report_page
from cmfl_export.evaluate.calibration import calibrate
from cmfl_export.evaluate.labelled_scores import read_scores, write_scores
from cmfl_export.evaluate.outcome import Evaluation
from cmfl_export.evaluate.run import evaluate
from cmfl_export.predict.run import predict_to
from cmfl_export.runtime.card import METADATA_KEY
from protocols import Sample, read_split, write_split
from tests.cmfl_export import graded, tiny_model
from tests.cmfl_export.browser import Browser


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graded.make(tmp_path_factory.mktemp("graded"))


@pytest.fixture(scope="module")
def done(tiny: Path, split: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """One model, the images as they are and in two degradations."""
    return run(tiny, split, tmp_path_factory.mktemp("out"), degradations=["blur:2", "noise:20"])


def run(tiny: Path, split: Path, out: Path, **options: Any) -> Evaluation:
    given: dict[str, Any] = {"protocol": split, "data_root": split.parent.parent, "samples": 50}
    return evaluate([tiny], out, **(given | options))


def metrics_of(evaluation: Evaluation) -> Any:
    return json.loads((evaluation.out / "metrics.json").read_text())


class TestFigures:
    """Reals 90, 100, 180..250 and fakes 10..80, 160, 205 (of 255) at the threshold 0.5, which is 127.5."""

    def test_rates_by_hand(self, done: Evaluation) -> None:
        heads = done.candidates[0].assessment.heads
        assert set(heads) == {"p_real", "p_real_rgb", "p_real_spectrum"}
        joint = heads["p_real"]
        assert joint["apcer"].value == pytest.approx(0.2)
        assert joint["bpcer"].value == pytest.approx(0.2)
        assert joint["d_eer"].value == pytest.approx(0.2)
        assert joint["accuracy"].value == pytest.approx(0.8)
        # Of 100 pairs of a real and a fake, 90 and 100 lose to 160 and 205, and 180..200 to 205.
        assert joint["auc"].value == pytest.approx(1 - (2 + 2 + 3) / 100)
        assert joint["apcer"].low < 0.2 < joint["apcer"].high

    def test_attack_types_and_sources_with_the_worst_first(self, done: Evaluation) -> None:
        a = done.candidates[0].assessment
        assert [(g.name, g.n, g.scored, g.error.value) for g in a.attacks] == [
            ("y", 5, 5, pytest.approx(0.4)),
            ("x", 5, 5, 0.0),
        ]
        assert [(g.name, g.error.value) for g in a.sources] == [
            ("real_b", pytest.approx(0.4)),
            ("real_a", 0.0),
        ]
        # Wilson's interval does not call five hits out of five certain.
        assert a.attacks[1].error.high == pytest.approx(0.434, abs=0.002)
        assert a.attacks[1].d_eer == 0.0
        assert a.attacks[0].median == pytest.approx(80 / 255)

    def test_degradations(self, done: Evaluation) -> None:
        clean, blur, noise = done.candidates[0].conditions
        assert [c.label for c in (clean, blur, noise)] == ["as they are", "blur 2", "noise 20"]
        # A flat image stays as it is when it is blurred.
        assert (blur.d_eer, blur.apcer, blur.bpcer) == (clean.d_eer, clean.apcer, clean.bpcer)
        assert clean.d_eer == done.candidates[0].assessment.heads["p_real"]["d_eer"]
        assert clean.hter == pytest.approx(0.2)

    def test_noise_reaches_the_scores(self, done: Evaluation) -> None:
        plain = {s.sample.filename: s.row.p_real for s in read_scores(done.out / "scores.csv")}
        noisy = {s.sample.filename: s.row.p_real for s in read_scores(done.out / "scores-noise-20.csv")}
        # Clipping at 0 makes the darkest image brighter.
        darkest, brighter = plain["gan_x/10.png"], noisy["gan_x/10.png"]
        assert darkest is not None
        assert brighter is not None
        assert brighter > darkest + 0.005
        assert noisy["gan_y/80.png"] == pytest.approx(plain["gan_y/80.png"], abs=1e-3)


class TestFiles:
    def test_all_of_them(self, done: Evaluation) -> None:
        plots = {f"{name}.{kind}" for name in PLOTS for kind in ("png", "svg")}
        scores = {"scores.csv", "scores-blur-2.csv", "scores-noise-20.csv"}
        assert {path.name for path in done.out.iterdir()} == plots | scores | {"metrics.json", "report.html"}
        for name in PLOTS:
            with Image.open(done.out / f"{name}.png") as picture:
                assert picture.width > 400
            ET.parse(done.out / f"{name}.svg")

    def test_scores_in_the_order_of_the_protocol(self, done: Evaluation, split: Path) -> None:
        found = read_scores(done.out / "scores.csv")
        assert [scored.sample for scored in found] == read_split(split)
        assert found[0].row.p_real == pytest.approx(250 / 255)
        assert found[0].row.decision == "real"

    def test_metrics_are_the_figures_and_say_where_they_are_from(self, done: Evaluation, tiny: Path) -> None:
        data = metrics_of(done)
        (model,) = data["models"]
        joint = done.candidates[0].assessment.heads["p_real"]
        assert model["heads"]["p_real"]["d_eer"] == joint["d_eer"]._asdict()
        assert model["attacks"][0]["name"] == "y"
        assert model["attacks"][0]["apcer"]["value"] == pytest.approx(0.4)
        assert [d["label"] for d in model["degradations"]] == ["as they are", "blur 2", "noise 20"]
        assert len(model["sha256"]) == len(data["split"]["sha256"]) == 64
        assert data["split"]["name"] == "protocol/eval"
        assert (data["split"]["n_real"], data["split"]["n_attack"], data["split"]["subjects"]) == (10, 10, 20)
        assert data["settings"]["seed"] == 0

    def test_the_page_loads_nothing_and_says_it_all(self, done: Evaluation) -> None:
        text = (done.out / "report.html").read_text()
        page = Page(text)
        assert page.addresses == [address for address in page.addresses if address.startswith("data:")]
        for words in ("D-EER", "20.0 %", "real_b", "noise 20", "Model card", "evidence and not proof"):
            assert words in text
        # The four errors, with pictures.
        assert "2 of 2" in text
        assert page.images == 4
        assert page.tags.count("svg") == len(PLOTS)

    def test_the_page_in_a_browser(self, done: Evaluation, browser: Browser) -> None:
        browser.open(done.out / "report.html")
        assert browser.complaints() == []
        assert browser.requests() == []
        assert "tiny" in browser.one("h1").text
        # Every plot has a size, and nothing is wider than the page, on a telephone neither.
        assert all(plot.size["width"] > 200 for plot in browser.all("figure > svg"))
        with browser.screen(360):
            assert browser.run("return document.documentElement.scrollWidth") <= 360

    def test_lines_for_the_terminal(self, done: Evaluation) -> None:
        text = "\n".join(done.lines())
        assert "protocol/eval: 20 images, 10 real and 10 synthetic, 20 subjects" in text
        assert "tiny on cpu, threshold 0.5 (made up for a test)" in text
        assert text.index("\ny ") < text.index("\nx ")
        assert text.endswith("report.html")
        assert max(map(len, done.lines())) <= 130

    def test_the_same_again(self, done: Evaluation, tiny: Path, split: Path, tmp_path: Path) -> None:
        again = run(tiny, split, tmp_path, degradations=["blur:2", "noise:20"])
        for name in ("scores.csv", "scores-noise-20.csv", "det.svg"):
            assert (tmp_path / name).read_bytes() == (done.out / name).read_bytes()
        assert again.candidates[0].assessment == done.candidates[0].assessment


PLOTS = ("det", "roc", "scores", "reliability", "risk_coverage", "degradations")


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds, and is looked at in other tests."""
    monkeypatch.setattr(report_page, "draw", lambda _: {})


@pytest.mark.usefixtures("no_plots")
class TestFailures:
    def test_each_has_a_row_and_is_in_no_rate(self, tiny: Path, tmp_path: Path) -> None:
        file = graded.make(tmp_path)
        (tmp_path / "gan_x/10.png").unlink()
        (tmp_path / "real_b/90.png").write_bytes(b"")
        found = run(tiny, file, tmp_path / "out")
        assert not found.ok
        a = found.candidates[0].assessment
        assert [(s.sample.filename, s.row.status) for s in a.failed] == [
            ("real_b/90.png", "empty"),
            ("gan_x/10.png", "not_found"),
        ]
        assert (a.apnrr, a.bpnrr) == (0.1, 0.1)
        assert a.heads["p_real"]["bpcer"].value == pytest.approx(1 / 9)
        rows = list(csv.DictReader((tmp_path / "out/scores.csv").open()))
        assert len(rows) == 20
        assert [row["filename"] for row in rows if row["status"] != "ok"] == ["real_b/90.png", "gan_x/10.png"]
        assert "APNRR 10.0 %, BPNRR 10.0 %" in "\n".join(found.lines())
        assert "the file is empty" in (tmp_path / "out/report.html").read_text()

    def test_a_class_without_a_score(self, tiny: Path, tmp_path: Path) -> None:
        file = graded.make(tmp_path)
        for folder in ("gan_x", "gan_y"):
            for path in (tmp_path / folder).iterdir():
                path.unlink()
        with pytest.raises(CmflError, match=r"tiny: no synthetic image has a score.*no such file"):
            run(tiny, file, tmp_path / "out")

    def test_hostile_names_are_text(self, tiny: Path, tmp_path: Path) -> None:
        file = graded.make(tmp_path)
        samples = [*read_split(file), Sample("evil", "gan_y/<img src=x onerror=alert(1)>.png", "<b>y</b>")]
        write_split(samples, file)
        run(tiny, file, tmp_path / "out")
        page = Page((tmp_path / "out/report.html").read_text())
        assert "script" not in page.tags
        assert "b" not in page.tags

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"protocol": None}, "a model needs images: give --protocol and --data-root"),
            ({"data_root": None}, "a model needs images"),
            ({"threshold": 1.5}, r"within 0 and 1, not 1\.5"),
            ({"samples": 0}, "at least 1 resample"),
            ({"degradations": ["sepia:1"]}, "unknown degradation"),
            ({"data_root": "nowhere"}, "data root nowhere is not a folder"),
        ],
    )
    def test_usage(
        self, options: dict[str, Any], message: str, tiny: Path, split: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(CmflError, match=message):
            run(tiny, split, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    def test_nothing_to_evaluate(self, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="give a model, or a score file"):
            evaluate([], tmp_path)

    def test_a_protocol_folder_without_the_split(self, tiny: Path, split: Path, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="has no split 'test'; it has: eval"):
            evaluate([tiny], tmp_path, protocol=split.parent, data_root=split.parent.parent, split="test")


@pytest.mark.usefixtures("no_plots")
class TestScoreFiles:
    def test_of_predict_with_a_protocol_gives_what_the_model_gives(
        self, done: Evaluation, tiny: Path, split: Path, tmp_path: Path
    ) -> None:
        root = split.parent.parent
        predict_to(tiny, [str(root / folder) for folder in graded.FOLDERS], tmp_path / "rows.csv")
        found = evaluate(
            [], tmp_path / "out", scores=[tmp_path / "rows.csv"], protocol=split, data_root=root, samples=50
        )
        ours, theirs = found.candidates[0].assessment, done.candidates[0].assessment
        for key, value in theirs.heads["p_real"].items():
            assert ours.heads["p_real"][key].value == pytest.approx(value.value, abs=1e-6)
        assert ours.threshold_source == "default 0.5"
        assert "rows, threshold 0.5" in "\n".join(found.lines())

    def test_ours_needs_no_protocol(self, done: Evaluation, tmp_path: Path) -> None:
        found = evaluate([], tmp_path, scores=[done.out / "scores.csv"], samples=50)
        assert found.candidates[0].assessment.heads == done.candidates[0].assessment.heads

    def test_official(self, tmp_path: Path) -> None:
        lines = [f"{i},{label},d/{i}.png,{p}" for i, (label, p) in enumerate([(1, 0.9), (1, 0.4), (0, 0.1)])]
        (tmp_path / "results.csv").write_text("\n".join(lines))
        found = evaluate([], tmp_path / "out", scores=[tmp_path / "results.csv"], samples=50)
        a = found.candidates[0].assessment
        assert set(a.heads) == {"p_real"}
        assert (a.heads["p_real"]["bpcer"].value, a.heads["p_real"]["apcer"].value) == (0.5, 0.0)
        assert [g.name for g in a.attacks] == ["synthetic"]

    def test_cannot_be_degraded(self, done: Evaluation, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="score files hold no images to degrade"):
            evaluate([], tmp_path, scores=[done.out / "scores.csv"], degradations=["jpeg:50"])


@pytest.mark.usefixtures("no_plots")
class TestComparison:
    def test_a_model_and_a_file_with_differences_from_the_first(
        self, done: Evaluation, tiny: Path, split: Path, tmp_path: Path
    ) -> None:
        better = tmp_path / "better.csv"
        # The two reals that were called synthetic are not any more.
        rows = [
            scored._replace(row=replace(scored.row, p_real=0.9))
            if scored.sample.filename in ("real_b/90.png", "real_b/100.png")
            else scored
            for scored in read_scores(done.out / "scores.csv")
        ]
        write_scores(rows, better)
        found = run(tiny, split, tmp_path / "out", scores=[better])
        first, second = found.candidates
        assert first.differences is None
        assert second.differences is not None
        assert second.differences["bpcer"].value == pytest.approx(-0.2)
        assert second.differences["apcer"] == (0.0, 0.0, 0.0)
        assert "-20.0 points" in "\n".join(found.lines())
        assert {"scores-tiny.csv", "scores-better.csv"} <= {p.name for p in found.out.iterdir()}
        assert metrics_of(found)["models"][1]["difference_from_first"]["bpcer"]["value"] == pytest.approx(
            -0.2
        )

    def test_two_of_one_name_are_told_apart(self, tiny: Path, split: Path, tmp_path: Path) -> None:
        other = tiny_model.write(tmp_path / "other.onnx", threshold=0.9)
        found = evaluate(
            [tiny, other], tmp_path / "out", protocol=split, data_root=split.parent.parent, samples=20
        )
        assert [c.name for c in found.candidates] == ["tiny", "tiny (2)"]
        assert [c.assessment.threshold for c in found.candidates] == [0.5, 0.9]
        differences = found.candidates[1].differences
        assert differences is not None
        assert differences["d_eer"].value == 0.0
        assert differences["bpcer"].value == pytest.approx(0.5)

    def test_of_other_images_is_none(self, done: Evaluation, tmp_path: Path) -> None:
        (tmp_path / "r.csv").write_text("0,1,a.png,0.5\n1,0,b.png,0.2\n")
        with pytest.raises(CmflError, match="are not scores of the same images; give their --protocol"):
            evaluate([], tmp_path / "out", scores=[done.out / "scores.csv", tmp_path / "r.csv"])


@pytest.mark.usefixtures("no_plots")
class TestCalibrated:
    @pytest.fixture
    def model(self, tiny: Path, tmp_path: Path) -> Path:
        dev = graded.make(tmp_path / "dev", split="dev")
        return calibrate(
            tiny, tmp_path / "calibrated.onnx", protocol=dev, data_root=tmp_path / "dev", at="bpcer:0"
        ).out

    def test_decides_at_its_own_threshold(self, model: Path, tmp_path: Path) -> None:
        file = graded.make(tmp_path / "eval", prefix="other-")
        found = run(model, file, tmp_path / "out")
        a = found.candidates[0].assessment
        assert (a.heads["p_real"]["bpcer"].value, a.threshold_source) == (0.0, "bpcer:0 on protocol/dev")

    def test_not_on_the_people_that_chose_it(self, model: Path, tmp_path: Path) -> None:
        file = graded.make(tmp_path / "eval")
        with pytest.raises(CmflError, match=r"20 subjects of this split"):
            run(model, file, tmp_path / "out")
        found = run(model, file, tmp_path / "out", threshold=0.5)
        assert "too good" in found.warnings[0]
        assert "too good" in (tmp_path / "out/report.html").read_text()


class Page(HTMLParser):
    """The tags of a page and all that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.images = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.images += tag == "img"
        # A link to another place in the page, as SVG's <use> has it, loads nothing.
        self.addresses += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#")
        ]


def test_two_score_files_without_a_class_in_common(tmp_path: Path) -> None:
    """Each has both classes; of the images that both could score none is synthetic."""
    rows = ("0,1,a.png,0.9\n1,0,b.png,{}\n2,0,c.png,{}\n",)
    for name, scores in (("x.csv", ("0.1", "nan")), ("y.csv", ("nan", "0.1"))):
        (tmp_path / name).write_text(rows[0].format(*scores))
    with pytest.raises(CmflError, match="cannot be compared: of one class, no image has a score of both"):
        evaluate([], tmp_path / "out", scores=[tmp_path / "x.csv", tmp_path / "y.csv"], samples=2)


def test_a_bad_score_file_is_found_before_the_models_run(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_split([Sample("1", "a.png", ""), Sample("2", "b.png", "gan")], tmp_path / "eval.csv")
    (tmp_path / "s.csv").write_text("0,1,a.png,7\n")
    monkeypatch.setattr("cmfl_export.evaluate.run.Detector", None)
    with pytest.raises(CmflError, match=r"s\.csv, line 1: score is 7\.0"):
        evaluate(
            [tiny],
            tmp_path / "out",
            protocol=tmp_path / "eval.csv",
            data_root=tmp_path,
            scores=[tmp_path / "s.csv"],
        )


class TestUncertain:
    """With a band, 90..205 of 255 are uncertain: 5 of the 10 reals, and 2 of the 10 fakes."""

    @pytest.fixture(scope="class")
    @classmethod
    def banded(cls, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        proto = onnx.load(tiny)
        card = replace(tiny_model.card(), band=(85 / 255, 207 / 255))
        onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
        path = tmp_path_factory.mktemp("banded") / "banded.onnx"
        onnx.save(proto, path)
        return path

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, banded: Path, split: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
        return run(banded, split, tmp_path_factory.mktemp("out"))

    def test_counts_as_no_response(self, found: Evaluation) -> None:
        (model,) = metrics_of(found)["models"]
        rates = {key: interval["value"] for key, interval in model["responses"].items()}
        assert (rates["apnrr"], rates["bpnrr"], rates["answered"]) == (0.2, 0.5, pytest.approx(0.65))
        assert (rates["apcer"], rates["bpcer"]) == (0, 0)
        assert (model["apnrr"], model["bpnrr"]) == (0.2, 0.5)
        assert model["band"] == [85 / 255, 207 / 255]
        assert model["responses"]["bpnrr"]["low"] < 0.5 < model["responses"]["bpnrr"]["high"]
        # The rates of one threshold stay what they are.
        assert model["heads"]["p_real"]["apcer"]["value"] == pytest.approx(0.2)

    def test_is_shown(self, found: Evaluation) -> None:
        text = "\n".join(found.lines())
        assert "uncertain from 0.3333 to 0.8118" in text
        assert re.search(r"BPNRR +50\.0 % \[", text)
        page = (found.out / "report.html").read_text()
        assert "<dt>Images answered</dt>" in page
        assert "Answers, where a decision may be uncertain" in page
        # No answer is wrong, so there is no error to look at.
        assert "Attacks called real:" not in page

    def test_score_files_keep_it(self, found: Evaluation, split: Path, tmp_path: Path) -> None:
        scores = found.out / "scores.csv"
        again = evaluate([], tmp_path / "a", scores=[scores], samples=50)
        (model,) = metrics_of(again)["models"]
        assert model["responses"] == metrics_of(found)["models"][0]["responses"]
        assert model["band"] is None
        assert "uncertain as the file says" in "\n".join(again.lines())

    def test_a_threshold_takes_its_place(
        self, banded: Path, found: Evaluation, split: Path, tmp_path: Path
    ) -> None:
        scores = found.out / "scores.csv"
        given = evaluate([], tmp_path / "a", scores=[scores], samples=20, threshold=0.5)
        assert given.candidates[0].assessment.responses is None
        one = run(banded, split, tmp_path / "b", threshold=0.5, samples=20).candidates[0].assessment
        assert (one.responses, one.band, one.apnrr) == (None, None, 0)


def test_risk_and_coverage(done: Evaluation) -> None:
    """The four errors, at 90, 100, 160 and 205, are among the six images that are the least sure."""
    (model,) = metrics_of(done)["models"]
    found = {key: interval["value"] for key, interval in model["risk_coverage"].items()}
    assert found["risk_at_100"] == pytest.approx(0.2)
    assert 0 < found["risk_at_80"] < found["risk_at_90"] < 0.2
    assert 0 < found["aurc"] < 0.2
    assert model["responses"] is None
    assert (done.out / "risk_coverage.png").is_file()
    assert "errors at 90 % answered" in "\n".join(done.lines())
