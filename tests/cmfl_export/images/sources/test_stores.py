"""Inputs and outputs in an object store: pages, ranges, patience, statuses, and no secrets."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cmfl_export.base.errors import UsageError
from cmfl_export.detector import Detector
from cmfl_export.images import ImageError, decode, iter_paths
from cmfl_export.images.inputs import count_paths
from cmfl_export.images.sources import stores
from cmfl_export.images.sources.store_file import StoreFile
from cmfl_export.predict import predict_to, read_rows
from tests.cmfl_export.images.sources.archives_made import jpeg, parquet, tar, zipped

if TYPE_CHECKING:
    from .store import Store


def outcome(path: str) -> int | str:
    try:
        return int(decode(path)[100, 100, 1])
    except ImageError as error:
        return "a secret" if "very-secret" in error.message else error.status.value


def test_folders_patterns_and_objects(s3: Store) -> None:
    for number, name in enumerate(
        ("b.jpg", "a.JPG", "sub/c.png", "notes.md", ".hidden/x.jpg", "o d?d+%20[.jpg")
    ):
        s3.put(f"faces/{name}", jpeg(10 * number))
    s3.put("faces2/x.jpg", jpeg(1))
    everything = ["a.JPG", "b.jpg", "o d?d+%20[.jpg", "sub/c.png"]
    for text in (s3.url("faces"), s3.url("faces/")):
        assert list(iter_paths([text])) == [s3.url(f"faces/{name}") for name in everything]
    assert list(iter_paths([s3.url("faces")], recursive=False)) == [
        s3.url(f"faces/{n}") for n in everything[:3]
    ]
    assert [outcome(path) for path in iter_paths([s3.url("faces")])] == [10, 0, 50, 20]
    assert list(iter_paths([s3.url("faces/*.jpg")])) == [
        s3.url("faces/b.jpg"),
        s3.url("faces/o d?d+%20[.jpg"),
    ]
    assert list(iter_paths([s3.url("**/[a-c].*g")])) == [s3.url("faces/b.jpg"), s3.url("faces/sub/c.png")]
    assert count_paths([s3.url("faces")]) is None
    before = len(s3.requests)
    assert list(iter_paths([s3.url("gone.jpg")])) == [s3.url("gone.jpg")]
    assert len(s3.requests) == before
    assert list(iter_paths([s3.url("nothing/")])) == []


def test_a_listing_streams(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        s3.put(f"f/{number}.jpg", b"x")
    call = stores.store_of("s3://x").call_s3

    class Paged:
        req_kw: dict[str, str] = {}  # noqa: RUF012

        def call_s3(self, method: str, **asked: object) -> object:
            return call(method, **asked, MaxKeys=2)

    monkeypatch.setattr(stores, "store_of", lambda *_, **__: Paged())
    paths = iter_paths([s3.url("f/")])
    assert next(paths) == s3.url("f/0.jpg")
    assert len([request for request in s3.requests if "list-type" in request]) == 1
    s3.fails = {"continuation-token": [403]}
    # The listing ends early: one row for the rest.
    rest = list(paths)
    assert rest == [s3.url("f/1.jpg"), s3.url("f/")]
    assert outcome(rest[-1]) == "forbidden"


@pytest.mark.parametrize("block", [5000, 1 << 22])
def test_archives_are_those_of_the_disk(
    s3: Store, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreFile.__init__, "__defaults__", (block,))
    members = {f"d/{n}.jpg": jpeg(10 * n) for n in range(5)}
    packed = {
        "a.tar": tar(members),
        "a.tgz": tar(members, "w:gz"),
        "a.zip": zipped(members),
        "a.parquet": parquet([{"bytes": data, "path": name} for name, data in members.items()]),
        "list.txt": f"{s3.url('a.tar')}\n{s3.url('x.jpg')}\n{s3.url('a.zip')}::d/1.jpg".encode(),
    }
    for name, data in packed.items():
        s3.put(name, data)
    monkeypatch.chdir(tmp_path)
    for name in list(packed)[:4]:
        Path(name).write_bytes(packed[name])
        here, there = list(iter_paths([name])), list(iter_paths([s3.url(name)]))
        assert there == [s3.url(path) for path in here]
        assert [outcome(path) for path in there] == [0, 10, 20, 30, 40]
        assert outcome(str(there[3])) == 30
    listed = list(iter_paths([s3.url("list.txt")]))
    assert [outcome(path) for path in listed] == [0, 10, 20, 30, 40, "not_found", 10]
    # Large members of a tar are read by themselves, others with the stream.
    monkeypatch.setattr("cmfl_export.images.sources.archives._MOST_CARRIED", 0)
    assert [outcome(path) for path in iter_paths([s3.url("a.tar")])] == [0, 10, 20, 30, 40]


def test_what_is_temporary_is_tried_again(s3: Store) -> None:
    url = s3.put("a.jpg", jpeg(60))
    s3.fails = {"a.jpg": [503, 500, 503, 500]}
    assert outcome(url) == 60
    assert len([request for request in s3.requests if "a.jpg" in request]) == 5
    s3.fails = {"list-type": [503]}
    assert list(iter_paths([s3.url("")])) == [url]


@pytest.mark.parametrize(
    ("status", "expected", "asked"),
    [(403, "forbidden", 1), (404, "not_found", 1), (500, "unavailable", 5), (503, "unavailable", 5)],
)
def test_statuses(s3: Store, status: int, expected: str, asked: int) -> None:
    for name in ("a.jpg", "a.tar"):
        url = s3.put(name, jpeg(60))
        s3.requests.clear()
        s3.fails = {name: [status] * 5}
        (path,) = iter_paths([url])
        assert outcome(path) == expected
        # For an archive that is not there, fsspec also looks for a folder.
        assert len(s3.requests) - asked in ((0, 1) if status == 404 else (0,))


def test_other_failures_have_statuses_too(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome("s3://no-such-bucket-here/a.jpg") == "not_found"
    assert outcome(s3.put("empty.jpg", b"")) == "empty"
    assert outcome("http://127.0.0.1/a.jpg") == "unsupported"
    large = s3.put("large.jpg", jpeg(1))
    monkeypatch.setattr("cmfl_export.images.decoding.MAX_FILE_BYTES", 100)
    assert outcome(large) == "too_large"
    before = len(s3.requests)
    (listed,) = (path for path in iter_paths([s3.url("")]) if "large" in path)
    assert outcome(listed) == "too_large"
    assert len(s3.requests) == before + 1  # the listing
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    stores.forget()
    assert outcome(s3.url("a.jpg")) == "unavailable"


def test_objects_are_fetched_ahead_by_several_threads(s3: Store, tiny: Path) -> None:
    urls = [s3.put(f"{number}.jpg", jpeg(number)) for number in range(12)]
    together = threading.Barrier(4, timeout=60)
    original = stores.read

    def read(url: str, start: int, size: int) -> bytes:
        # Ends only if four are at it at once.
        together.wait()
        return original(url, start, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "read", read)
        rows = Detector(tiny, provider="cpu", workers=4).predict(urls)
    assert [row.path for row in rows] == urls
    assert {row.status.value for row in rows} == {"ok"}


def test_predict_reads_and_writes_objects(s3: Store, tiny: Path, tmp_path: Path) -> None:
    s3.put("in/a.tar", tar({"1.jpg": jpeg(200), "2.jpg": b"x"}))
    s3.put("in/b.jpg", jpeg(20))
    inputs = [s3.url("in/a.tar"), s3.url("in/"), s3.url("gone.jpg")]
    local = tmp_path / "rows.csv"
    summary = predict_to(tiny, inputs, local, provider="cpu")
    assert (summary.n, summary.failed) == (4, {"not_an_image": 1, "not_found": 1})
    assert [row.path for row in read_rows(local)] == [
        *(f"{s3.url('in/a.tar')}::{n}.jpg" for n in (1, 2)),
        s3.url("in/b.jpg"),
        s3.url("gone.jpg"),
    ]
    for name in ("rows.csv", "rows.parquet"):
        predict_to(tiny, inputs, s3.url(f"out/{name}"), provider="cpu")
        predict_to(tiny, inputs, tmp_path / name, provider="cpu")
        assert s3.get(f"out/{name}") == (tmp_path / name).read_bytes()
    again = predict_to(tiny, inputs, local, provider="cpu", resume=True)
    assert (again.n, again.skipped) == (0, 4)


def test_outputs_that_cannot_be_are_refused_first(s3: Store, tiny: Path) -> None:
    picture = [s3.put("a.jpg", jpeg(1))]
    out = s3.url("rows.csv")
    for arguments, message in (
        ({"output": out, "resume": True}, "cannot be resumed"),
        ({"output": picture[0]}, "is one of the inputs"),
        ({"output": s3.url("rows.txt")}, "names no format"),
        ({"output": "https://h/rows.csv"}, "the web is only read"),
        ({"output": out, "report": s3.url("page.html")}, "the report is written to a file"),
    ):
        with pytest.raises(UsageError, match=message):
            predict_to(tiny, picture, provider="cpu", **arguments)
    s3.fails = {"uploads": [403]}
    with pytest.raises(UsageError, match=f"cannot write {out}: the store denies access") as caught:
        predict_to(tiny, picture, out, provider="cpu")
    assert "very-secret" not in str(caught.value)
    assert s3.keys() == ["a.jpg"]


def test_an_output_appears_whole_or_not_at_all(
    s3: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.RawIOBase):
        def __iter__(self) -> Broken:
            return self

        def __next__(self) -> bytes:
            raise KeyboardInterrupt

    s3.put("a.jpg", jpeg(1))
    monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": Broken(), "fileno": lambda _: 0})())
    with pytest.raises(KeyboardInterrupt):
        predict_to(tiny, [s3.url("a.jpg"), "-"], s3.url("rows.csv"), provider="cpu")
    assert s3.keys() == ["a.jpg"]
    assert s3.uploads() == 0


def test_secrets_are_in_no_row(tiny: Path, tmp_path: Path) -> None:
    """Both given directly and in a list."""
    secret = "https://me:hidden@127.0.0.1:1/a.jpg?X-Amz-Signature=hidden"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "ATTEMPTS", 1)
        (tmp_path / "list.txt").write_text(f"{secret}\n{secret.replace('a.jpg', 's.tar')}::x.jpg")
        predict_to(tiny, [secret, str(tmp_path / "list.txt")], tmp_path / "rows.jsonl", provider="cpu")
        row = Detector(tiny, provider="cpu").predict(secret)
    text = (tmp_path / "rows.jsonl").read_text() + repr(row)
    assert "hidden" not in text
    assert text.count("https://127.0.0.1:1/a.jpg?...") == 3
    assert "https://127.0.0.1:1/s.tar?...::x.jpg" in text
