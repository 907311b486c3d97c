"""Score files: ours, those of predict and of the official code, alone and joined with a protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.errors import CmflError
from cmfl_export.results import Prediction, Status, open_writer
from cmfl_export.scores import COLUMNS, Scored, read_scores, write_scores
from protocols import Sample

SAMPLES = [
    Sample("anna", "real/a.png", ""),
    Sample("b", "fake/b.png", "stylegan2"),
    Sample("c", "fake/sub, folder/c.png", "swagan"),
]
ROWS = [
    Scored(SAMPLES[0], Prediction("real/a.png", 0.123456789012345, 0.25, 1e-9, "real")),
    Scored(
        SAMPLES[1],
        Prediction("fake/b.png", status=Status.TRUNCATED, error='ends "too" early, at\n10 bytes'),
    ),
    Scored(SAMPLES[2], Prediction("fake/sub, folder/c.png", 0.5, decision="synthetic")),
]


def predicted(path: Path, *rows: Prediction) -> Path:
    with open_writer(path) as writer:
        writer.write(rows)
    return path


def official(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


class TestOurs:
    def test_there_and_back(self, tmp_path: Path) -> None:
        write_scores(ROWS, tmp_path / "scores.csv")
        assert read_scores(tmp_path / "scores.csv") == ROWS

    def test_names_that_are_not_utf8(self, tmp_path: Path) -> None:
        row = Scored(Sample("s", "real/\udc80.png", ""), Prediction("real/\udc80.png", 0.5))
        write_scores([row], tmp_path / "scores.csv")
        assert b"real/\x80.png" in (tmp_path / "scores.csv").read_bytes()
        assert read_scores(tmp_path / "scores.csv") == [row]

    def test_a_bare_carriage_return_in_a_name(self, tmp_path: Path) -> None:
        row = Scored(Sample("s", "real/a\rb.png", ""), Prediction("real/a\rb.png", 0.5))
        write_scores([row], tmp_path / "scores.csv")
        assert read_scores(tmp_path / "scores.csv") == [row]

    def test_has_the_schema_of_results_and_of_protocols(self, tmp_path: Path) -> None:
        write_scores(ROWS, tmp_path / "scores.csv")
        header = (tmp_path / "scores.csv").read_text().splitlines()[0]
        assert header == ",".join(COLUMNS)
        assert header == (
            "subject,filename,attack_type,p_real,p_real_rgb,p_real_spectrum,decision,status,error"
        )

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("s,f,,high,,,real,ok,", "line 2: could not convert"),
            ("s,f,,0.5,,,real,fine,", "line 2: 'fine' is not a valid Status"),
            ("s,f,,,,,real,ok,", "line 2: the status is ok but p_real is ''"),
            ("s,f,,0.5,,,,truncated,", "line 2: the status is truncated but p_real is '0.5'"),
            ("s,f,,0.5", "line 2: 4 values instead of 9"),
        ],
    )
    def test_damage_is_named_with_its_line(self, row: str, message: str, tmp_path: Path) -> None:
        path = official(tmp_path / "scores.csv", ",".join(COLUMNS), row)
        with pytest.raises(CmflError, match=message):
            read_scores(path)


class TestOfficial:
    def test_holds_the_truth_itself(self, tmp_path: Path) -> None:
        path = official(tmp_path / "r.csv", "0,1,ffhq/00001.png,0.91", "1,0,swagan/1.png,0.25")
        assert read_scores(path) == [
            Scored(Sample("ffhq/00001.png", "ffhq/00001.png", ""), Prediction("ffhq/00001.png", 0.91)),
            Scored(Sample("swagan/1.png", "swagan/1.png", "synthetic"), Prediction("swagan/1.png", 0.25)),
        ]

    def test_nan_is_no_score(self, tmp_path: Path) -> None:
        """The official code gives NaN for an image of one colour."""
        (scored,) = read_scores(official(tmp_path / "r.csv", "0,1,a.png,nan"))
        assert (scored.row.p_real, scored.row.status) == (None, Status.UNREADABLE)
        assert "nan" in scored.row.error

    def test_labels_of_a_tensor(self, tmp_path: Path) -> None:
        (scored,) = read_scores(official(tmp_path / "r.csv", "0,1.0,a.png,0.5"))
        assert scored.sample.is_real

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("id,label,path,score", "neither a score file of cmfl nor rows of id,label,path,score"),
            ("0,2,a.png,0.5", "the label is 2; it must be 1"),
            ("0,1,a.png", "3 values instead of 4"),
            ('0,1,"a.png,0.5', "not valid CSV"),
        ],
    )
    def test_refuses(self, line: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match=message):
            read_scores(official(tmp_path / "r.csv", line))


class TestJoined:
    @pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json"])
    def test_rows_of_predict_take_the_truth_of_the_protocol(self, name: str, tmp_path: Path) -> None:
        path = predicted(
            tmp_path / name,
            Prediction("/data/fake/b.png", 0.25, decision="synthetic"),
            Prediction("/data/other.png", 0.5),
            Prediction("/data/real/a.png", 0.75, decision="real"),
        )
        found = read_scores(path, SAMPLES, "/data")
        assert [scored.sample for scored in found] == SAMPLES
        assert [scored.row.p_real for scored in found] == [0.75, 0.25, None]
        assert found[2].row.status is Status.NOT_FOUND
        assert found[2].row.error == "no score in the file"

    def test_by_the_longest_end_of_the_path_that_the_protocol_names(self, tmp_path: Path) -> None:
        samples = [Sample("1", "a.png", ""), Sample("2", "x/a.png", "gan")]
        path = official(tmp_path / "r.csv", "0,0,C:\\data\\x\\a.png,0.2", "1,1,./y//a.png,0.9")
        assert [scored.row.p_real for scored in read_scores(path, samples)] == [0.9, 0.2]

    def test_the_data_root_comes_before_the_end_of_the_path(self, tmp_path: Path) -> None:
        """Without it, /x/a.png under the root / would be the protocol's x/a.png."""
        samples = [Sample("1", "x/x/a.png", ""), Sample("2", "x/a.png", "gan")]
        path = predicted(tmp_path / "r.csv", Prediction("/x/x/a.png", 0.25))
        assert read_scores(path, samples, "/x")[1].row.p_real == 0.25
        assert read_scores(path, samples)[0].row.p_real == 0.25

    def test_a_failed_row_keeps_its_reason(self, tmp_path: Path) -> None:
        path = predicted(
            tmp_path / "r.csv",
            Prediction("real/a.png", 0.5),
            Prediction("fake/b.png", status=Status.TRUNCATED, error="the file ends too early"),
        )
        assert read_scores(path, SAMPLES)[1].row.error == "the file ends too early"

    def test_two_scores_for_one_image(self, tmp_path: Path) -> None:
        path = predicted(tmp_path / "r.csv", Prediction("real/a.png", 0.5), Prediction("/z/real/a.png", 0.6))
        with pytest.raises(CmflError, match=r"two scores for 'real/a.png'"):
            read_scores(path, SAMPLES)

    def test_another_truth_than_the_protocol(self, tmp_path: Path) -> None:
        path = official(tmp_path / "r.csv", "0,0,real/a.png,0.9")
        with pytest.raises(CmflError, match=r"'real/a\.png' is synthetic there and real in the protocol"):
            read_scores(path, SAMPLES)

    def test_nothing_in_common(self, tmp_path: Path) -> None:
        path = predicted(tmp_path / "r.csv", Prediction("q.png", 0.5))
        with pytest.raises(CmflError, match=r"no score for any image.*names 'q.png' and .* 'real/a.png'"):
            read_scores(path, SAMPLES)


def test_rows_of_predict_need_a_protocol(tmp_path: Path) -> None:
    for name in ("r.csv", "r.jsonl"):
        with pytest.raises(CmflError, match="does not say which images are real; give the protocol"):
            read_scores(predicted(tmp_path / name, Prediction("a.png", 0.5)))


def test_no_file_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="cannot read"):
        read_scores(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(CmflError, match="no scores in it"):
        read_scores(tmp_path / "empty.csv")
