"""Members of archives: their order, their bytes, and what is wrong with them."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from cmfl_export.base.errors import InputError
from cmfl_export.images import ImageError, Status, decode, iter_paths, located
from cmfl_export.images.inputs import count_paths
from cmfl_export.images.sources import archives, open_binary, tars
from tests.cmfl_export.images.sources.archives_made import jpeg, parquet, tar, zipped

PICTURES = {
    "d/2.jpg": jpeg(20),
    "d/2.json": b"{}",
    "d/1.jpg": jpeg(10),
    "d/bad.png": b"no image",
    "d/empty.jpg": b"",
    "../" + "long" * 40 + "/\u00e9\n::.jpg": jpeg(30),
    "d/p.heic": b"x",
    "__MACOSX/d/._1.jpg": b"x",
}
GREYS = {"d/2.jpg": 20, "d/1.jpg": 10, "d/bad.png": "not_an_image", "d/empty.jpg": "empty"}
EXPECTED = [*GREYS.items(), (list(PICTURES)[5], 30), ("d/p.heic", "unsupported")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(paths: Iterator[str]) -> list[tuple[str, int | str]]:
    """Each path with its grey value or its status; the bare text gives the same."""
    rows: list[tuple[str, int | str]] = []
    for path in paths:
        rows.append((str(path), outcome(path)))
        if "::" in path:
            assert outcome(str(path)) == rows[-1][1]
    return rows


def outcome(path: str) -> int | str:
    try:
        return int(decode(path)[100, 100, 1])
    except ImageError as error:
        return error.status.value


def make(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.tar", tar),
        ("gnu.tar", lambda members: tar(members, format=tarfile.GNU_FORMAT)),
        ("a.tar.gz", lambda members: tar(members, "w:gz")),
        ("a.zip", zipped),
        ("stored.zip", lambda members: zipped(members, zipfile.ZIP_STORED)),
    ],
)
def test_one_row_a_picture_in_the_order_of_the_archive(
    name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    make(name, pack(PICTURES))
    expected = [(f"{name}::{member}", value) for member, value in EXPECTED]
    assert found(iter_paths([name])) == expected
    assert found(iter_paths([f"*{name[1:]}"])) == expected
    assert count_paths([name]) == (None if name.endswith("gz") else len(expected))
    # Nothing is unpacked to the disk.
    assert [path.name for path in Path().rglob("*")] == [name]
    # A member is an input, and so is a list of them, in any order.
    texts = [text for text, _ in expected if "\n" not in text]
    assert list(iter_paths([texts[1], "-"], stdin=io.BytesIO("\n".join(texts[::-1]).encode()))) == [
        texts[1],
        *texts[::-1],
    ]


def test_rows_of_parquet() -> None:
    values: list[object] = [{"bytes": jpeg(10 * n), "path": f"{n}.jpg"} for n in range(7)]
    values[2] = {"bytes": None, "path": "/etc/passwd"}
    expected: list[tuple[str, int | str]] = [(f"a.parquet::image/{n}/{n}.jpg", 10 * n) for n in range(7)]
    expected[2] = ("a.parquet::image/2//etc/passwd", "not_found")
    make("a.parquet", parquet(values))
    assert found(iter_paths(["a.parquet"])) == expected
    make("b.parquet", parquet([jpeg(50), None], "photo"))
    with pytest.raises(InputError, match="neither a column image nor bytes; its columns are: label, photo"):
        list(iter_paths(["b.parquet"]))
    with pytest.raises(InputError, match="holds int64, no bytes"):
        list(iter_paths(["b.parquet"], column="label"))
    rows = found(iter_paths(["b.parquet"], column="photo"))
    assert rows == [("b.parquet::photo/0", 50), ("b.parquet::photo/1", "not_found")]
    for name in ("image/99", "image/x", "image"):
        assert outcome(f"a.parquet::{name}") == "not_found"


@pytest.mark.parametrize("name", ["a.tar.gz", "a.parquet"])
def test_a_list_of_members_is_read_in_one_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a part of an archive that one of several machines scores."""
    packed = tar(PICTURES, "w:gz") if name == "a.tar.gz" else parquet([jpeg(n) for n in range(9)])
    texts = list(map(str, iter_paths([make(name, packed)])))[2:5]
    opened: list[str] = []

    def opening(path: str) -> AbstractContextManager[BinaryIO]:
        opened.append(path)
        return open_binary(path)

    monkeypatch.setattr(archives, "open_binary", opening)
    paths = list(located(texts))
    assert paths == texts
    assert list(map(outcome, paths)) == list(map(outcome, texts))
    assert opened[:1] == [name]
    assert len(opened) == 1 + len(texts)


def test_files_with_odd_names_are_themselves(tmp_path: Path) -> None:
    for name in ("a.tar::b.jpg", "s3:/x.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        make(name, jpeg(40))
    assert found(iter_paths(["a.tar::b.jpg", "s3:/x.jpg"])) == [("a.tar::b.jpg", 40), ("s3:/x.jpg", 40)]
    make("a.tar::b.tar", tar({"x.jpg": jpeg(1)}))
    (ambiguous,) = iter_paths(["./*.tar"])
    assert (ambiguous, outcome(ambiguous)) == ("a.tar::b.tar", "unsupported")
    assert outcome("none.tar::x.jpg") == "not_found"
    make("c.tar", tar({"x.jpg": jpeg(1)}))
    assert outcome("c.tar::y.jpg") == "not_found"


def test_lists_name_files_archives_and_members() -> None:
    make("a.tar", tar({"x.jpg": jpeg(10), "y.jpg": jpeg(20)}))
    make("b.jpg", jpeg(30))
    make("list.txt", b"b.jpg\r\n\na.tar\nnone.jpg\na.tar::y.jpg\nlist.txt\n*.jpg")
    assert found(iter_paths(["list.txt"])) == [
        ("b.jpg", 30),
        ("a.tar::x.jpg", 10),
        ("a.tar::y.jpg", 20),
        ("none.jpg", "not_found"),
        ("a.tar::y.jpg", 20),
        ("list.txt", "not_an_image"),
        ("*.jpg", "not_found"),
    ]
    assert count_paths(["list.txt"]) == 7
    # A pattern finds notes as it finds pictures.
    assert found(iter_paths(["*.txt"])) == [("list.txt", "not_an_image")]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_cut_tar_gives_what_is_before_the_cut_and_one_row(name: str) -> None:
    whole = tar({f"{n}.jpg": jpeg(n) for n in range(4)})
    cut = whole[: whole.index(b"2.jpg") + 700]
    if name == "a.tar.gz":
        packer = zlib.compressobj(wbits=31)
        cut = packer.compress(cut) + packer.flush(zlib.Z_SYNC_FLUSH)
    make(name, cut)
    rows = [(str(path), outcome(path)) for path in iter_paths([name])]
    assert rows[-1] == (name, "truncated")
    greys = [value for _, value in rows[:-1]]
    assert greys[:2] == [0, 1]
    assert set(greys[2:]) <= {"truncated"}
    assert outcome(f"{name}::1.jpg") == 1


def test_damage_in_a_tar_gives_one_row_for_the_rest() -> None:
    whole = bytearray(tar({f"{n}.jpg": jpeg(n) for n in range(4)}))
    start = whole.index(b"2.jpg")
    whole[start + 150] ^= 0xFF
    make("a.tar", bytes(whole))
    assert [(str(p), outcome(p)) for p in iter_paths(["a.tar"])] == [
        ("a.tar::0.jpg", 0),
        ("a.tar::1.jpg", 1),
        ("a.tar", "unreadable"),
    ]
    for data, status in ((b"", "empty"), (b"no tar" * 200, "unreadable")):
        assert [outcome(path) for path in iter_paths([make("b.tar", data)])] == [status]
    assert [outcome(path) for path in iter_paths([make("b.zip", b"no zip")])] == ["unreadable"]
    assert [outcome(path) for path in iter_paths([make("b.parquet", b"PAR1")])] == ["unreadable"]
    assert [outcome(path) for path in iter_paths([make("b.tgz", b"no gzip")])] == ["unreadable"]


def test_links_devices_and_sparse_files_are_not_read() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind in (
            ("s.jpg", tarfile.SYMTYPE),
            ("h.jpg", tarfile.LNKTYPE),
            ("f.jpg", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("sparse.jpg")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 60)}
        archive.addfile(info)
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    make("a.tar", stream.getvalue())
    assert [value for _, value in found(iter_paths(["a.tar"]))] == ["not_a_file"] * 4
    link = zipfile.ZipInfo("l.jpg")
    link.external_attr = 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    make("a.zip", stream.getvalue())
    assert found(iter_paths(["a.zip"])) == [("a.zip::l.jpg", "not_a_file")]


def refusal(path: str) -> tuple[Status, str]:
    """The status and message of a path that takes little memory to refuse."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageError) as caught:
            decode(path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    return caught.value.status, caught.value.message


def test_sizes_hold_before_anything_is_read() -> None:
    huge = tarfile.TarInfo("huge.jpg")
    huge.size = 1 << 40
    make("a.tar", huge.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    first, rest = iter_paths(["a.tar"])
    assert refusal(first) == (Status.TOO_LARGE, f"{1 << 40} bytes, more than the limit of {1 << 29}")
    assert outcome(rest) == "truncated"
    names = tarfile.TarInfo("././@LongLink")
    names.type, names.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    make("b.tar", names.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    (only,) = iter_paths(["b.tar"])
    assert refusal(only)[0] is Status.UNREADABLE
    # A zip that says what it will become, and one that lies.
    bomb = zipped({"x.jpg": bytes(1 << 26)})
    make("honest.zip", bomb.replace(struct.pack("<I", 1 << 26), struct.pack("<I", 1 << 30)))
    (member,) = iter_paths(["honest.zip"])
    assert refusal(member)[0] is Status.TOO_LARGE
    make("lies.zip", bomb.replace(struct.pack("<I", 1 << 26), struct.pack("<I", 1 << 10)))
    (member,) = iter_paths(["lies.zip"])
    assert refusal(member)[0] is Status.UNREADABLE
    with pytest.raises(ImageError, match="unpack the archive first"):
        list(archives.places(make("b.tgz", zlib.compress(huge.tobuf(tarfile.GNU_FORMAT), wbits=31)), bool))


@pytest.mark.parametrize("flip", range(0, 700, 23))
def test_damaged_zips_give_pictures_or_image_errors(flip: int) -> None:
    data = bytearray(zipped({"a.jpg": jpeg(1), "b.jpg": jpeg(2)}))
    data[flip % len(data) if flip % 2 else -1 - flip % len(data)] ^= 0xFF
    make("a.zip", bytes(data))
    assert all(isinstance(outcome(path), int | str) for path in iter_paths(["a.zip"]))


def test_a_tar_takes_no_memory_for_the_members_that_have_passed() -> None:
    class Endless(io.RawIOBase):
        """A tar of many members, which is nowhere."""

        def __init__(self) -> None:
            self.member, self.count = tarfile.TarInfo("x.jpg").tobuf(), 0

        def read(self, size: int = -1) -> bytes:
            self.count += 1
            return self.member if self.count <= 3_000 else bytes(size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

    tracemalloc.start()
    count = sum(1 for _ in tars.entries(cast(BinaryIO, Endless())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, peak < 1_000_000) == (3_000, True)
