"""Score files: ours, those of predict and of the official code, alone and joined with a protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate.labelled_scores import Scored, read_scores, write_scores
from cmfl_export.evaluate.score_formats import COLUMNS
from cmfl_export.images.status import Status
from cmfl_export.predict import open_writer
from cmfl_export.runtime.prediction import Prediction
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
            ("s,f,,high,,,real,ok,", "line 2: p_real is .high., which is not a number"),
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


RESULT = "path,p_real,p_real_rgb,p_real_spectrum,decision,status,error"
JSON = '{"path": "a.png", "p_real": %s, "p_real_rgb": null, "p_real_spectrum": null, "decision": null, '
JSON += '"status": "ok", "error": ""}'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        # Of predict: line 3, after a name with a line end in it.
        *(
            ("r.csv", f'{RESULT}\n"a\nb.png",0.5,,,real,ok,\nc.png,{value},,,real,ok,\n', f"line 4: {why}")
            for value, why in (
                ("1.5", "p_real is 1.5; it must be from 0 to 1"),
                ("-0.1", "p_real is -0.1; it must be from 0 to 1"),
                ("nan", "p_real is nan; it must be from 0 to 1"),
                ("inf", "p_real is inf; it must be from 0 to 1"),
                (" ", "p_real is blank"),
                ("", "the status is ok but p_real is ''"),
                ("1_0", "p_real is '1_0', which is not a number"),
                ('"0,5"', "p_real is '0,5', which is not a number; write a point and not a comma"),
            )
        ),
        ("r.csv", f"{RESULT}\na.png,0.5,2,,real,ok,\n", "line 2: p_real_rgb is 2.0"),
        ("r.csv", f"{RESULT}\na.png,0.5,,,maybe,ok,\n", "line 2: the decision is 'maybe'"),
        ("r.csv", f"{RESULT}\na.png,0.5,,,real,fine,\n", "line 2: 'fine' is not a valid Status"),
        ("r.csv", f"{RESULT}\n,0.5,,,real,ok,\n", "line 2: the name of the image is empty"),
        ("r.csv", f"{RESULT}\na.png,0.5\n", "line 2: 2 values instead of 7"),
        ("r.csv", f"{RESULT}\na.png,0.5,,,real,ok,,x\n", "line 2: 8 values instead of 7"),
        (
            "r.csv",
            f"{RESULT}\na.png;0.5;;;real;ok;\n",
            "line 2: 1 values instead of 7: they are separated by",
        ),
        ("r.csv", RESULT.replace(",", ";") + "\n", "line 1: .*separated by semicolons"),
        ("r.csv", RESULT.upper() + "\n", "line 1: .*write it in lower case and without blanks"),
        ("r.csv", RESULT.replace("p_real_rgb", "rgb") + "\n", "line 1: .*the nearest header is path,p_real"),
        ("r.csv", "sep=;\n", "line 1: .*remove this line, which Excel wrote"),
        ("r.csv", "id,label,path,score\n0,1,a.png,0.5\n", "line 1: .*remove this line"),
        ("r.csv", "0,1,a.png,0.5\n1,0,b.png,1.01\n", "line 2: score is 1.01; it must be from 0 to 1"),
        ("r.csv", "0,1,a.png,inf\n", "line 1: score is inf"),
        ("r.csv", "0,1,a.png,\n", "line 1: the score is empty"),
        ("r.csv", "0,real,a.png,0.5\n", "line 1: label is 'real', which is not a number"),
        ("r.csv", "0,1,,0.5\n", "line 1: the name of the image is empty"),
        ("r.csv", "0,1,a.png,0.5\n1,0,./a.png,0.6\n", "line 2: two scores for 'a.png', the first on line 1"),
        ("r.csv", "\0", "line 1: not a text file"),
        ("r.jsonl", JSON % 0.5 + "\n\n" + JSON % "NaN" + "\n", "line 3: p_real is nan"),
        ("r.jsonl", JSON % '"0.5"' + "\n", "line 1: p_real is '0.5'; it must be a number"),
        ("r.jsonl", JSON % "true" + "\n", "line 1: p_real is True; it must be a number"),
        ("r.jsonl", JSON % ("9" * 400) + "\n", "line 1: p_real is a number of more than 60 digits"),
        ("r.jsonl", JSON % ("9" * 5000) + "\n", "line 1: not valid JSON .*too long a number"),
        ("r.jsonl", "[" * 100_000 + "\n", "line 1: not valid JSON .*nested too deeply"),
        ("r.jsonl", JSON % 0.5 + '\n{"path": "b.p', "line 2: not valid JSON .*was the file cut off"),
        ("r.jsonl", '{"path": "a.png"}\n', "line 1: the row has no decision, error, p_real"),
        ("r.jsonl", "7\n", "line 1: a value of type int, not a row of cmfl predict"),
        ("r.json", f"[\n{JSON % 0.5},\n\n{JSON % 2}\n]\n", "line 4: p_real is 2; it must be from 0 to 1"),
        ("r.json", f"[\n{JSON % 0.5}\n{JSON % 0.5}]", "line 3: ',' was expected"),
        ("r.json", f"[\n{JSON % 0.5},\n", "line 3: the file ends within the array"),
        ("r.json", "{}", "line 1: '\\[' was expected"),
        ("r.json", "[]\n[]", "more than one array"),
        ("r.parquet", "PAR1", "use a csv, jsonl or json file"),
    ],
)
def test_a_row_that_cannot_be_right(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    samples = None if content.startswith(("0,", "id,")) else [Sample("1", "a.png", "")]
    with pytest.raises(CmflError, match=message) as caught:
        read_scores(tmp_path / name, samples)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("excel.csv", f"\ufeff{RESULT}\r\na.png,0.5,,,real,ok,\r\n"),
        ("no_end.csv", f"{RESULT}\na.png,0.5,,,real,ok,"),
        ("quoted.csv", '"' + RESULT.replace(",", '","') + '"\n"a.png","0.5","","","real","ok",""\n'),
        ("blanks.json", f"\n [ {JSON % 0.5} ] \n"),
        ("no_end.jsonl", JSON % 0.5),
    ],
)
def test_what_editors_make_of_a_file_is_read(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, newline="")
    (scored,) = read_scores(tmp_path / name, [Sample("1", "a.png", "")])
    assert scored.row.p_real == 0.5


def test_faces_of_one_photograph(tmp_path: Path) -> None:
    row = Prediction("a.png", 0.5, decision="real", face=0, faces=2, box=(0.0, 0.0, 1.0, 1.0))
    with open_writer(tmp_path / "r.csv", groups=["faces"]) as writer:
        writer.write([row, replace(row, face=1)])
    with pytest.raises(CmflError, match=r"line 3: two scores for 'a.png', the first on line 2; .*--largest"):
        read_scores(tmp_path / "r.csv", [Sample("1", "a.png", "")])
