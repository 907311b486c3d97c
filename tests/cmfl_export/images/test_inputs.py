"""Inputs on the command line -> paths: order, folders, patterns, lists, and what cannot be walked."""

from __future__ import annotations

import inspect
import io
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cmfl_export.images.inputs import count_paths, iter_paths, root_of


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of faces, also the current one, so that paths in the tests are short."""
    names = [
        "b.jpg",
        "A.JPEG",
        "c.txt",
        "sub/z.png",
        "sub/deep/y.webp",
        "sub/notes.md",
        "a/x.tif",
        ".hidden.png",
        ".crops/x.png",
        "a/.009-0.x.png",
    ]
    for name in names:
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "faces" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "faces"


IN_ORDER = ["A.JPEG", "a/x.tif", "b.jpg", "sub/deep/y.webp", "sub/z.png"]


def paths(*inputs: str, recursive: bool = True) -> list[str]:
    found = list(iter_paths(inputs, recursive=recursive))
    assert count_paths(inputs, recursive=recursive) == len(found)
    return found


def test_a_folder_gives_its_pictures_in_order_of_name(tree: Path) -> None:
    assert paths("faces") == [f"faces/{name}" for name in IN_ORDER]
    assert paths("faces/") == paths("faces")
    assert paths("./faces") == [f"./faces/{name}" for name in IN_ORDER]
    assert paths(str(tree)) == [f"{tree}/{name}" for name in IN_ORDER]
    assert paths("faces", recursive=False) == ["faces/A.JPEG", "faces/b.jpg"]
    assert paths("faces/empty") == []
    assert paths("faces/../faces/a") == ["faces/../faces/a/x.tif"]


def test_files_and_missing_paths_are_themselves_in_the_order_of_the_inputs(tree: Path) -> None:
    inputs = ("gone.jpg", "faces/sub/notes.md", "faces/a", "faces/b.jpg", "faces/b.jpg", "gone", "")
    expected = ["gone.jpg", "faces/sub/notes.md", "faces/a/x.tif", "faces/b.jpg", "faces/b.jpg", "gone", ""]
    assert paths(*inputs) == expected


def test_walks_pass_over_dots_and_what_is_named_is_tried(tree: Path) -> None:
    assert not [path for path in paths("faces") if "/." in path]
    assert paths("faces/.hidden.png") == ["faces/.hidden.png"]
    assert paths("faces/.crops") == ["faces/.crops/x.png"]


def test_kinds_that_are_not_decoded_are_rows_of_a_walk(tree: Path) -> None:
    for name in ("p.heic", "p.HEIF", "p.dng", "p.jxl", ".p.heic", "p.onnx"):
        (tree / "empty" / name).touch()
    (tree / "empty" / "d.heic").mkdir()
    (tree / "empty" / "d.heic" / "x.png").touch()
    assert paths("faces/empty") == [
        f"faces/empty/{name}" for name in ("d.heic/x.png", "p.HEIF", "p.dng", "p.heic", "p.jxl")
    ]


def test_it_is_lazy(tree: Path) -> None:
    endless = iter_paths(itertools.repeat("faces"))
    assert next(endless) == "faces/A.JPEG"
    assert len(list(itertools.islice(endless, 1000))) == 1000


def test_a_folder_named_like_a_picture_is_one_row(tree: Path) -> None:
    (tree / "sub" / "x.jpg").mkdir()
    (tree / "sub" / "x.jpg" / "in.png").touch()
    assert paths("faces/sub") == ["faces/sub/deep/y.webp", "faces/sub/x.jpg", "faces/sub/z.png"]
    assert paths("faces/sub/x.jpg") == ["faces/sub/x.jpg"]
    assert paths("faces/sub/x.jpg/") == ["faces/sub/x.jpg/in.png"]


def test_symbolic_links(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "far.png").touch()
    (tree / "a" / "link").symlink_to(outside)
    (tree / "a" / "up").symlink_to("..")
    (tree / "a" / "broken.jpg").symlink_to("nowhere")
    (tree / "a" / "loop.jpg").symlink_to("loop.jpg")
    (tree / "a" / "loop").symlink_to("loop")
    expected = ["broken.jpg", "link/far.png", "loop.jpg", "up", "x.tif"]
    assert paths("faces/a") == [
        "faces/a/broken.jpg",
        "faces/a/link/far.png",
        "faces/a/loop.jpg",
        *("faces/a/up/A.JPEG", "faces/a/up/a", "faces/a/up/b.jpg"),
        *("faces/a/up/sub/deep/y.webp", "faces/a/up/sub/z.png"),
        "faces/a/x.tif",
    ]
    assert [path for path in paths("faces") if path.startswith("faces/a/")] == [
        f"faces/a/{n}" for n in expected
    ]
    assert paths("faces/a/loop") == ["faces/a/loop"]


def test_what_cannot_be_listed_is_one_row(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = os.scandir

    def guarded(path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert paths("faces") == [f"faces/{name}" for name in [*IN_ORDER[:3], "sub"]]
    assert paths("faces/sub") == ["faces/sub"]


def test_folders_deeper_than_the_call_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 150
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.jpg").touch()
    os.chdir(tmp_path)
    bottom = "d/" * depth
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        assert list(iter_paths(["d"])) == [f"{bottom}x.jpg"]
        assert list(iter_paths(["d/**/*.jpg"])) == [f"{bottom}x.jpg"]
    finally:
        sys.setrecursionlimit(limit)


def test_patterns(tree: Path) -> None:
    assert paths("faces/*.jpg") == ["faces/b.jpg"]
    assert paths("faces/[ab].???") == ["faces/b.jpg"]
    assert paths("faces/*.txt") == ["faces/c.txt"]
    assert paths("faces/s*/*.png") == ["faces/sub/z.png"]
    assert paths("fa*/sub/deep/y.webp") == ["faces/sub/deep/y.webp"]
    assert paths("faces/.*.png") == ["faces/.hidden.png"]
    assert paths("faces/*.gif") == ["faces/*.gif"]
    assert paths("nowhere/*/x.jpg") == ["nowhere/*/x.jpg"]
    assert paths("faces/*/") == ["faces/a/x.tif", "faces/sub/deep/y.webp", "faces/sub/z.png"]
    assert paths(f"{tree}/*.jpg") == [f"{tree}/b.jpg"]
    assert paths("faces/su*", recursive=False) == ["faces/sub/z.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.webp", ["sub/deep/y.webp"]),
        ("faces/**/*.png", ["sub/z.png"]),
        ("**/deep/*", ["sub/deep/y.webp"]),
        ("f*/**/[bz].*", ["b.jpg", "sub/z.png"]),
        ("faces/**/**/y.webp", ["sub/deep/y.webp"]),
        ("faces/**/sub/**/*.*p*", ["sub/z.png", "sub/deep/y.webp"]),
    ],
)
def test_deep_patterns(tree: Path, pattern: str, expected: list[str]) -> None:
    assert paths(pattern) == [f"faces/{name}" for name in expected]


def test_deep_patterns_give_each_picture_once(tree: Path) -> None:
    visible = [f"faces/{name}" for name in IN_ORDER]
    assert sorted(paths("**/*")) == sorted(visible)
    assert sorted(paths("faces/**/*")) == sorted([*visible, "faces/c.txt"])
    assert paths("faces/**") == paths("faces")
    assert paths("**/sub") == ["faces/sub/deep/y.webp", "faces/sub/z.png"]


def test_deep_patterns_end_in_spite_of_loops(tree: Path) -> None:
    for name in ("one", "two", "three"):
        (tree / name).symlink_to(".")
    assert paths("**/*.webp") == ["faces/sub/deep/y.webp"]


def test_a_file_with_the_name_of_a_pattern_is_that_file(tree: Path) -> None:
    (tree / "a[1].jpg").touch()
    (tree / "a1.jpg").touch()
    assert paths("faces/a[1].jpg") == ["faces/a[1].jpg"]
    assert paths("faces/a[[]1].jpg") == ["faces/a[[]1].jpg"[:7] + "[1].jpg"]


def test_names_of_any_bytes(tree: Path) -> None:
    names = [b"new\nline.jpg", b" space .jpg", b"\xff\xfe.jpg", "é.jpg".encode()]
    for name in names:
        (tree / "empty" / os.fsdecode(name)).touch()
    expected = {b"faces/empty/" + name for name in names}
    assert {os.fsencode(path) for path in paths("faces/empty")} == expected
    assert {os.fsencode(path) for path in paths("faces/empty/*.jpg")} == expected


def test_a_list_on_standard_input(tree: Path) -> None:
    content = b"faces\n\n*.jpg\r\n a b \n-\n\xff.jpg\nlast"
    expected = ["first", "faces", "*.jpg", " a b ", "-", "\udcff.jpg", "last", "faces/b.jpg"]
    assert list(iter_paths(["first", "-", "faces/b.jpg"], stdin=io.BytesIO(content))) == expected
    assert count_paths(["first", "-"]) is None


@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_a_null_separated_list(size: int) -> None:
    class Pipe(io.BytesIO):
        def read1(self, _: int | None = -1) -> bytes:
            return super().read1(size)

    content = b"new\nline\0\0carriage\r\0\xff\0last"
    found = list(iter_paths(["-"], null_separated=True, stdin=Pipe(content)))
    assert found == ["new\nline", "carriage\r", "\udcff", "last"]


def test_a_list_is_read_as_it_comes() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as source:
        for null_separated, end in ((False, b"\n"), (True, b"\0")):
            source.write(b"one" + end)
            found = iter_paths(["-"], null_separated=null_separated, stdin=stream)
            assert next(found) == "one"


def test_standard_input_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert list(iter_paths(["-"])) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("faces", "faces"),
        ("faces/", "faces/"),
        ("faces/b.jpg", "faces"),
        ("faces/*.jpg", "faces"),
        ("faces/d*/e.jpg", "faces"),
        ("*/b.jpg", "."),
        ("absent/x.jpg", "absent"),
        ("-", ""),
    ],
)
def test_the_root_of_an_input(tree: Path, text: str, root: str) -> None:
    assert root_of(text) == root
