"""Protocol files: what is read, what is refused and where the message points."""

from __future__ import annotations

import posixpath
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmfl_export.base.errors import CmflError
from protocols import Sample, read_protocol, read_split, write_split

HEADER = "subject,filename,attack_type\n"
GOOD = [Sample("s1", "real/1.png", ""), Sample("s2", "fake/2.png", "stylegan2")]

function_tmp = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_names = st.text(_characters, min_size=1, max_size=12).filter(
    lambda name: (
        name.strip() and not re.match(r"[/\\]|[A-Za-z]:[/\\]", name) and ".." not in re.split(r"[/\\]", name)
    )
)
_words = st.text(_characters, max_size=8).map(str.strip)
_samples = st.lists(
    st.builds(Sample, _words.filter(bool), _names, _words),
    min_size=1,
    max_size=8,
    unique_by=lambda sample: posixpath.normpath(sample.filename),
)


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


def split(path: Path, samples: list[Sample]) -> Path:
    write_split(samples, path)
    return path


def message(path: Path) -> str:
    with pytest.raises(CmflError) as caught:
        read_split(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_reads_rows_in_file_order(tmp_path: Path) -> None:
    path = put(tmp_path / "train.csv", HEADER + "b,x/b.png,\na,x/a.png,stylegan2\n")
    assert read_split(path) == [Sample("b", "x/b.png", ""), Sample("a", "x/a.png", "stylegan2")]
    assert [sample.is_real for sample in read_split(path)] == [True, False]


def test_columns_in_any_order(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "attack_type,subject,filename\n,s1,real/1.png\nstylegan2,s2,fake/2.png\n")
    assert read_split(path) == GOOD


def test_byte_order_mark_crlf_and_empty_lines(tmp_path: Path) -> None:
    body = "\ufeffsubject,filename,attack_type\r\ns1,real/1.png,\r\n\r\ns2,fake/2.png,stylegan2\r\n\r\n"
    assert read_split(put(tmp_path / "a.csv", body)) == GOOD


def test_a_blank_attack_type_is_real_and_blanks_do_not_make_a_second_subject(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", HEADER + " s1 ,real/1.png,  \ns2,fake/2.png, stylegan2\n")
    assert read_split(path) == GOOD


def test_a_file_name_is_taken_as_written(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", HEADER + 's1," a, ""b"".png",\ns2,ü ✓.png,x\n')
    assert [sample.filename for sample in read_split(path)] == [' a, "b".png', "ü ✓.png"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("subject,filename\ns,a.png\n", "line 1: the header is 'subject,filename'"),
        ("subject,filename,attack_type,extra\n", "line 1: the header is"),
        ("subject,filename,filename\n", "line 1: the header is"),
        ("s1,real/1.png,\ns2,fake/2.png,x\n", "line 1: the header is 's1,real/1.png,'"),
        (HEADER, "without rows"),
        (HEADER + "s1,a.png,\ns2,b.png\n", "line 3: 2 values instead of 3"),
        (HEADER + "s1,a.png,,\n", "line 2: 4 values instead of 3"),
        (HEADER + "s1,,\n", "line 2: empty filename"),
        (HEADER + "s1,  ,\n", "line 2: empty filename"),
        (HEADER + ",a.png,\n", "line 2: empty subject"),
        (HEADER + "s1,a\0.png,\n", "line 2: filename 'a\\x00.png' contains a null"),
        (HEADER + "s1,/etc/a.png,\n", "line 2: filename '/etc/a.png' is absolute"),
        (HEADER + "s1,C:\\a.png,\n", "is absolute"),
        (HEADER + "s1,\\\\host\\a.png,\n", "is absolute"),
        (HEADER + "s1,a.png,\ns2,../b.png,x\n", "line 3: filename '../b.png' contains '..'"),
        (HEADER + "s1,a/../../b.png,\n", "contains '..'"),
        (HEADER + "s1,a\\..\\b.png,\n", "contains '..'"),
        (HEADER + "s1,a.png,\ns2,b.png,x\n\ns3,a.png,x\n", "line 5: 'a.png' is already on line 2"),
        (HEADER + "s1,a/b.png,\ns2,./a//b.png,x\n", "line 3: './a//b.png' is already on line 2"),
        (HEADER + 's1,"a\nb.png",\ns2,,x\n', "line 4: empty filename"),
        (HEADER + 's1,a.png,\ns2,"b.png,x\n', "line 3: not valid CSV"),
        (HEADER + "s1,a.png,x\n", "no real image"),
        (HEADER + "s1,a.png,\n", "no synthetic image"),
    ],
)
def test_refuses_and_says_where(tmp_path: Path, body: str, expected: str) -> None:
    assert expected in message(put(tmp_path / "train.csv", body))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (
            "subject;filename;attack_type\ns1;a.png;\n",
            "line 1: .*separated by semicolons; save the file as CSV",
        ),
        ("subject\tfilename\tattack_type\n", "line 1: .*separated by tabs"),
        ("sep=;\nsubject;filename;attack_type\n", "line 1: .*remove this line, which Excel wrote"),
        ('"subject,filename,attack_type"\n', "line 1: .*each line is quoted as one value"),
        ("Subject, Filename, attack_type\n", "line 1: .*lower case and without blanks"),
        ("s1,real/1.png,\n", "line 1: .*it seems to be missing; put it above the first row"),
        (HEADER + '"s1,real/1.png,"\n', "line 2: .*the whole line is quoted as one"),
        (HEADER + "s1;real/1.png;\n", "line 2: .*separated by semicolons"),
        (HEADER + "s1,a,b.png,x\n", "line 2: .*quote a value that holds a comma"),
    ],
)
def test_what_other_programs_write_is_named(tmp_path: Path, body: str, cause: str) -> None:
    assert re.search(cause, message(put(tmp_path / "train.csv", body)))


@pytest.mark.parametrize("name", ["a..b.png", "..a.png", "a/b..", ".hidden/x.png", "c:x.png"])
def test_harmless_dots_are_no_escape(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / "a.csv", f"{HEADER}s1,{name},\ns2,b.png,x\n")
    assert read_split(path)[0].filename == name


def test_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(HEADER.encode() + b"s1,a.png,\ns2,\xfcber.png,x\n")
    assert "line 3: not UTF-8" in message(path)
    path.write_bytes((HEADER + "s1,a.png,\n").encode("utf-16"))
    assert "line 1: not UTF-8 but UTF-16; save the file as UTF-8" in message(path)


def test_unreadable_paths(tmp_path: Path) -> None:
    assert "not found" in message(tmp_path / "none.csv")
    assert "cannot be read" in message(tmp_path)


@pytest.mark.parametrize("attack", ["", "x"])
def test_one_class_can_be_allowed(tmp_path: Path, attack: str) -> None:
    path = put(tmp_path / "eval.csv", f"{HEADER}s1,a.png,{attack}\n")
    assert read_split(path, allow_one_class=True) == [Sample("s1", "a.png", attack)]


def test_reads_a_protocol_with_and_without_eval(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    dev = [Sample("d1", "d/1.png", ""), Sample("d2", "d/2.png", "x")]
    split(folder / "train.csv", GOOD)
    split(folder / "dev.csv", dev)
    protocol = read_protocol(folder)
    assert (protocol.name, protocol.train, protocol.dev, protocol.eval) == ("mine", GOOD, dev, [])

    one_class = [Sample("e1", "e/1.png", "x")]
    split(folder / "eval.csv", one_class)
    with pytest.raises(CmflError, match=r"eval\.csv: no real image"):
        read_protocol(folder)
    assert read_protocol(folder, allow_one_class_eval=True).eval == one_class


def test_a_protocol_needs_its_folder_train_and_dev(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="is not a folder"):
        read_protocol(tmp_path / "none")
    with pytest.raises(CmflError, match=r"train\.csv: not found"):
        read_protocol(tmp_path)
    split(tmp_path / "train.csv", GOOD)
    with pytest.raises(CmflError, match=r"dev\.csv: not found"):
        read_protocol(tmp_path)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (Sample("s2", "other.png", "x"), "subject 's2'"),
        (Sample("new", "./real/1.png", "x"), "file 'real/1.png'"),
    ],
)
@pytest.mark.parametrize("late", ["dev", "eval"])
def test_overlap_names_both_places(tmp_path: Path, sample: Sample, expected: str, late: str) -> None:
    fine = {
        "train": GOOD,
        "dev": [Sample("d1", "d/1.png", ""), Sample("d2", "d/2.png", "x")],
        "eval": [Sample("e1", "e/1.png", ""), Sample("e2", "e/2.png", "x")],
    }
    for name, samples in fine.items():
        split(tmp_path / f"{name}.csv", [*samples, sample] if name == late else samples)
    with pytest.raises(CmflError) as caught:
        read_protocol(tmp_path)
    text = str(caught.value)
    line = 3 if sample.subject == "s2" else 2
    assert text.startswith(expected)
    assert f"{tmp_path / 'train.csv'}, line {line} and {tmp_path / late}.csv, line 4" in text


@function_tmp
@given(samples=_samples)
def test_written_splits_read_back(tmp_path: Path, samples: list[Sample]) -> None:
    path = tmp_path / "train.csv"
    write_split(samples, path)
    assert read_split(path, allow_one_class=True) == samples


@function_tmp
@given(
    name=st.text(alphabet=string.ascii_letters + '\n\r ,"', min_size=1, max_size=10).filter(str.strip),
    before=st.integers(0, 5),
    blanks=st.integers(0, 2),
)
def test_errors_point_at_the_physical_line(tmp_path: Path, name: str, before: int, blanks: int) -> None:
    """Quoted line ends in earlier names and empty lines are counted as an editor counts them."""
    quoted = name.replace('"', '""')
    body = HEADER + "".join(f's{i},"{i}{quoted}",\n' for i in range(before)) + "\n" * blanks
    line = len(re.split(r"\r\n|\r|\n", body))
    assert f"line {line}: empty filename" in message(put(tmp_path / "train.csv", body + "s,,\n"))


def test_writing_refuses_what_would_not_read_back(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("before")
    for samples, expected in (
        ([Sample(" s", "a.png", "")], "white space"),
        ([Sample("s", "../a.png", "")], "contains '..'"),
        ([*GOOD, GOOD[0]], "is already on line 2"),
        ([Sample("s", "a\udc80.png", "")], "not valid Unicode"),
        ([], "without rows"),
    ):
        with pytest.raises(CmflError, match=re.escape(expected)):
            write_split(samples, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CmflError, match="cannot write"):
        write_split(GOOD, path / "train.csv")
