"""Videos in predict: rows of frames, the row of the video, and both again after an interruption."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cmfl_export.base.errors import InputError, UsageError
from cmfl_export.detector import Detector
from cmfl_export.images import Clip, ClipFault, Frame, Located, Status, iter_paths
from cmfl_export.predict import Summary, interval_of, parquet_rows, predict_to, read_rows, with_clips
from cmfl_export.runtime import DecisionRule, Prediction
from tests.cmfl_export import tiny_model, videos
from tests.cmfl_export.photographs import coffee, group

GREYS = [40, 200, 220, 90, 180, 160]  # of the seconds of a video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, 5 frames each, of plain greys."""
    pictures = [picture for picture in videos.plain(GREYS) for _ in range(5)]
    return videos.write(tmp_path_factory.mktemp("clip") / "clip.mkv", pictures, rate=5, options={"crf": "1"})


@pytest.fixture(scope="module")
def with_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces of which the larger moves on a little, then nobody, then one face elsewhere: 1 s each."""
    pictures = [
        group((220, 10, 20), (150, 300, 60), size=(480, 270)),
        group((220, 30, 20), (150, 300, 60), size=(480, 270)),
        coffee().resize((480, 270)),
        group((200, 260, 40), size=(480, 270)),
    ]
    return videos.write(tmp_path_factory.mktemp("faces") / "faces.mp4", pictures, rate=1)


def scored(
    model: Path, inputs: Iterable[Path | str], out: Path, **options: Any
) -> tuple[Summary, list[Prediction]]:
    settings = {"align": None, "provider": "cpu", "threads": 1, "progress": False, **options}
    summary = predict_to(model, [str(one) for one in inputs], out, **settings)
    if out.suffix == ".parquet":
        with out.open("rb") as stream:
            return summary, list(parquet_rows(stream))
    return summary, list(read_rows(out))


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("0.5s", 0.5), ("500ms", 0.5), (" 12s ", 12)])
def test_intervals(text: str, seconds: float) -> None:
    assert interval_of(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1m", "-1s", "1e3s", "1 s", "nans"])
def test_texts_that_are_no_interval(text: str) -> None:
    with pytest.raises(UsageError, match="for instance 1s"):
        interval_of(text)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_frames_and_then_the_video(model: Path, clip: Path, tmp_path: Path, ending: str) -> None:
    summary, rows = scored(model, [clip], tmp_path / f"rows.{ending}")
    assert [row.path for row in rows] == [*(f"{clip}::{second}.000s" for second in range(6)), str(clip)]
    assert [row.time for row in rows] == [0, 1, 2, 3, 4, 5, None]
    scores = [row.p_real for row in rows]
    assert [round((score or 0) * 255) for score in scores[:-1]] == pytest.approx(GREYS, abs=1)
    assert scores[-1] == pytest.approx(170 / 255, abs=0.005)
    last = rows[-1]
    assert (last.decision, last.status, last.frames, last.frames_with_face) == ("real", Status.OK, 6, None)
    assert last.share_synthetic == pytest.approx(2 / 6)
    assert {row.frames for row in rows[:-1]} == {None}
    assert (summary.n, summary.videos, summary.frames, summary.images) == (7, 1, 6, 0)
    assert (summary.real, summary.synthetic, summary.failed) == (1, 0, {})
    assert summary.lines()[0] == "1 video of 6 frames: 1 real, 0 synthetic, 0 failed"


def test_from_python(model: Path, clip: Path) -> None:
    detector = Detector(model, provider="cpu", align=None)
    rows = list(detector.stream(iter_paths([str(clip)], every=2.0)))
    assert [row.path for row in rows] == [f"{clip}::{second}.000s" for second in (0, 2, 4)]
    assert detector.predict(f"{clip}::2.000s").p_real == rows[1].p_real


def test_faces_and_their_tracks(model: Path, with_faces: Path, tmp_path: Path) -> None:
    summary, rows = scored(model, [with_faces], tmp_path / "auto.csv", align="auto")
    assert [row.status.value for row in rows] == ["ok", "ok", "no_face", "ok", "ok"]
    assert [row.track for row in rows] == [0, 0, None, 1, None]
    assert (rows[-1].frames, rows[-1].frames_with_face) == (4, 3)
    assert summary.failed == {}

    _, every_face = scored(model, [with_faces], tmp_path / "all.csv", align="all")
    assert [row.track for row in every_face] == [0, 1, 0, 1, None, 2, None]
    assert every_face[-1] == rows[-1]

    summary, rows = scored(model, [with_faces], tmp_path / "low.csv", align="auto", minimum_resolution=10_000)
    assert [row.status.value for row in rows].count("low_resolution") == 4
    assert summary.low == 3  # that of the video repeats them


def test_a_video_without_a_face_has_failed(model: Path, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "none.mp4", [coffee().resize((160, 120))] * 2, rate=1)
    summary, rows = scored(model, [path], tmp_path / "rows.csv", align="auto")
    assert (rows[-1].status, rows[-1].error) == (Status.NO_FACE, "none of 2 frames has a face")
    assert summary.failed == {"no_face": 1}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_run_that_was_cut_anywhere_goes_on(model: Path, clip: Path, tmp_path: Path, ending: str) -> None:
    Image.new("RGB", (224, 224), (77, 77, 77)).save(tmp_path / "a.png")
    # The same video twice, a frame of it by itself before and behind, and one that ends early.
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip.read_bytes()[:-450])
    inputs: list[Path | str] = [f"{clip}::1.000s", clip, clip, tmp_path / "a.png", cut, f"{clip}::1.000s"]
    out = tmp_path / f"rows.{ending}"
    scored(model, inputs, out, every=2.0)
    whole = out.read_bytes()
    assert b"truncated" in whole
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines)):
        part = b"".join(lines[:number])
        # Also in the middle of a row.
        out.write_bytes(part + lines[number][:9] if number % 2 else part)
        summary, _ = scored(model, inputs, out, every=2.0, resume=True)
        assert out.read_bytes() == whole
    assert summary.skipped > 0


def test_a_resume_with_another_interval_is_refused(model: Path, clip: Path, tmp_path: Path) -> None:
    scored(model, [clip], tmp_path / "rows.csv", every=2.0)
    with pytest.raises(UsageError, match=r"every: 2.0 -> 1.0"):
        scored(model, [clip], tmp_path / "rows.csv", resume=True)


def test_tracks_after_a_resume(model: Path, with_faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    _, rows = scored(model, [with_faces], out, align="all")
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:4]))  # in the middle of the second frame
    assert scored(model, [with_faces], out, align="all", resume=True)[1] == rows


def test_what_ends_early_keeps_its_frames(model: Path, clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip.read_bytes()[:-450])
    (tmp_path / "text.mp4").write_text("no video")
    summary, rows = scored(model, [cut, tmp_path / "text.mp4", clip], tmp_path / "rows.csv")
    row = next(row for row in rows if row.path == str(cut))
    frames = [row for row in rows if row.path.startswith(f"{cut}::")]
    assert 0 < len(frames) < 6
    assert (row.status, row.error) == (
        Status.TRUNCATED,
        f"the file ends too early, after {len(frames)} frames",
    )
    assert (row.p_real, row.decision, row.frames) == (None, None, len(frames))
    assert row.share_synthetic is not None
    text = next(row for row in rows if row.path.endswith("text.mp4"))
    assert (text.status, text.frames, text.share_synthetic) == (Status.NOT_AN_IMAGE, 0, None)
    assert rows[-1].p_real is not None
    assert summary.failed == {"truncated": 1, "not_an_image": 1}


def test_without_the_package(
    model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    _, rows = scored(model, [clip], tmp_path / "rows.csv")
    assert [(row.path, row.status) for row in rows] == [(str(clip), Status.UNSUPPORTED)]
    assert "pip install 'cmfl-export[video]'" in rows[0].error


def test_videos_in_a_folder(model: Path, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.mkv").write_bytes(clip.read_bytes())
    with pytest.raises(InputError, match="but 1 video; give --every 1s"):
        scored(model, [folder], tmp_path / "rows.csv")
    Image.new("RGB", (224, 224)).save(folder / "a.png")
    summary, rows = scored(model, [folder], tmp_path / "rows.csv")
    assert [row.path for row in rows] == [str(folder / "a.png")]
    assert "1 video passed over; name them, or give --every 1s" in summary.lines()
    header = (tmp_path / "rows.csv").read_text().splitlines()[0]
    assert not header.endswith("share_synthetic")
    summary, rows = scored(model, [folder], tmp_path / "rows.csv", every=3.0)
    assert [row.frames for row in rows] == [None, None, None, 2]
    assert summary.lines()[0].startswith("1 image, 1 video of 2 frames: ")


@pytest.mark.parametrize("options", [{"case": "a.zip"}, {"provenance": True}])
def test_options_for_pictures_alone(model: Path, clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    if "case" in options:
        options = {"case": tmp_path / "a.zip"}
    for inputs, every in (([clip], None), ([f"{clip}::1s"], None), ([tmp_path], 1.0)):
        with pytest.raises(UsageError, match="goes with pictures alone"):
            scored(model, inputs, tmp_path / "rows.csv", every=every, **options)


def test_in_the_report(model: Path, clip: Path, with_faces: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    inputs = [with_faces, tmp_path / "text.mp4"]
    scored(model, inputs, tmp_path / "rows.csv", align="auto", report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'id="videos">Videos' in page
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    rows = json.loads(found[1])["rows"]
    # Three frames with a face, and the video that cannot be read. The frame without a face has not failed.
    assert [Path(row["path"]).name.partition("::")[0] for row in rows] == ["faces.mp4"] * 3 + ["text.mp4"]
    assert sum(row["picture"] for row in rows) == 3
    assert {row["link"].partition("faces.mp4")[2] for row in rows[:3]} == {"#t=0", "#t=1", "#t=3"}


def test_with_stability(model: Path, clip: Path, tmp_path: Path) -> None:
    _, rows = scored(model, [clip], tmp_path / "rows.csv", every=3.0, stability=True)
    assert [row.spread is None for row in rows] == [False, False, True]


def frame(clip: Clip, second: int) -> Located:
    return Located(f"{clip.path}::{second}.000s", Frame(clip.path, second * 1000, clip))


def judged(paths: list[str], rows: dict[str, list[Prediction]]) -> list[Prediction]:
    def score(remaining: Iterator[str]) -> Iterator[Prediction]:
        # All are read ahead, as a pipeline may do.
        for path in list(remaining):
            yield from rows.get(path, [Prediction(path, 0.9, decision="real")])

    return list(with_clips(paths, score, rule=DecisionRule(0.5, (0.4, 0.6)), looks_for_faces=True))


def test_pictures_between_videos() -> None:
    one, two = Clip("a.mp4"), Clip("a.mp4")
    fault = Located("a.mp4", ClipFault(Status.TOO_SLOW, "too slow", two))
    paths = ["x.png", frame(one, 0), "y.png", frame(two, 0), frame(two, 1), fault, "a.mp4"]
    rows = {"a.mp4": [Prediction("a.mp4", status=Status.TOO_SLOW, error="too slow")]}
    found = judged(paths, rows)
    expected = [
        "x.png",
        "a.mp4::0.000s",
        "a.mp4",
        "y.png",
        "a.mp4::0.000s",
        "a.mp4::1.000s",
        "a.mp4",
        "a.mp4",
    ]
    assert [row.path for row in found] == expected
    assert [row.frames for row in found] == [None, None, 1, None, None, None, 2, None]


def test_the_row_of_a_video() -> None:
    clip = Clip("a.mp4")

    def last(*rows: Prediction) -> Prediction:
        paths: list[str] = [frame(clip, number) for number in range(len(rows))]
        by_path = {path: [row] for path, row in zip(paths, rows, strict=True)}
        return judged(paths, by_path)[-1]

    def one(score: float, status: Status = Status.OK) -> Prediction:
        return Prediction(
            "a.mp4::0.000s", score, decision="synthetic" if score < 0.4 else "real", status=status
        )

    # An even number: the middle of the two in the middle, which is in the band.
    row = last(one(0.1), one(0.45), one(0.55), one(0.9))
    assert (row.p_real, row.decision, row.share_synthetic) == (0.5, "uncertain", 0.25)
    low = last(one(0.9, Status.LOW_RESOLUTION), one(0.8, Status.LOW_RESOLUTION))
    assert (low.status, low.decision) == (Status.LOW_RESOLUTION, "real")
    assert last(one(0.9, Status.LOW_RESOLUTION), one(0.8)).status is Status.OK
    none = Prediction("a.mp4::0.000s", status=Status.NO_FACE, error="no face")
    large = Prediction("a.mp4::0.000s", status=Status.TOO_LARGE, error="too large")
    assert last(none, large).status is Status.NO_FACE
    assert (last(large).status, last(large).error) == (Status.TOO_LARGE, "too large")
    assert last(none, one(0.2), large).p_real == 0.2


def test_faces_that_change_places() -> None:
    """Each goes to the face before that it overlaps most with, and none is taken twice."""

    def face(number: int, of: int, left: float) -> Prediction:
        return Prediction("", 0.5, face=number, faces=of, box=(left, 0, left + 10, 10), face_size=10)

    clip = Clip("a.mp4")
    lefts = [[0, 100], [102, 1], [3, 104, 50], [4, 5]]
    paths: list[str] = [frame(clip, number) for number in range(len(lefts))]
    rows = {
        path: [face(number, len(some), left) for number, left in enumerate(some)]
        for path, some in zip(paths, lefts, strict=True)
    }
    assert [row.track for row in judged(paths, rows)[:-1]] == [0, 1, 1, 0, 0, 1, 2, 0, 3]
