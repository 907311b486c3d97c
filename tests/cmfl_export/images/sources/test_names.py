"""The text of members and addresses: it leads back to them, and tells no secret."""

from __future__ import annotations

import pytest

from cmfl_export.images.sources.names import archive_kind, member_of, scheme_of, shown, split_member

ODD = [
    "a.jpg",
    "../../a.jpg",
    "/etc/a.jpg",
    "a::b.jpg",
    "x.tar::y.jpg",
    "line\nend.jpg",
    " ",
    "b\udcff.jpg",
    "?#.jpg",
]


@pytest.mark.parametrize(
    "archive", ["s.tar", "./d/s.TAR.GZ", "odd::dir/s.zip", "s3://b/k y/s.tar", "https://h/s.tar?sig=a/b"]
)
@pytest.mark.parametrize("name", ODD)
def test_a_member_is_found_in_its_text(archive: str, name: str) -> None:
    assert split_member(member_of(archive, name)) == (archive, name)


@pytest.mark.parametrize("text", ["a.jpg", "a::b.jpg", "a.tar", "a.tar::", "::x", "a.tar.jpg::x"])
def test_other_texts_are_no_members(text: str) -> None:
    assert split_member(text) is None


def test_kinds_and_schemes() -> None:
    kinds = {"a.tar": "tar", "a.TGZ": "tar.gz", "a.tar.gz": "tar.gz", "a.zip": "zip", "a.parquet": "parquet"}
    assert {name: archive_kind(name) for name in kinds} == kinds
    assert archive_kind("https://h/a.zip?x=1.jpg") == "zip"
    assert archive_kind("a.jpg") == archive_kind("https://h/a.jpg?x=1.zip") == ""
    assert (scheme_of("S3://b/x"), scheme_of("https://h")) == ("s3", "https")
    assert scheme_of("file:///x") == scheme_of("simplecache::s3://b/x") == scheme_of("s3://") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pass@h/a.jpg", "https://h/a.jpg"),
        ("https://token@h:8080/a.jpg?X-Amz-Signature=s#f", "https://h:8080/a.jpg?..."),
        ("https://h/s.tar?sig=a/b::c/d.jpg", "https://h/s.tar?...::c/d.jpg"),
        ("https://user:pa/ss@h/a.jpg", "https://h/a.jpg"),
        ("https://h?token=a@b", "https://h?..."),
        ("s3://key:secret@b/a.jpg", "s3://b/a.jpg"),
        ("https://h/@user/a.jpg", "https://h/@user/a.jpg"),
        ("s3://b/a?b.jpg", "s3://b/a?b.jpg"),
        ("abfs://box@account.dfs.core.windows.net/a.jpg", "abfs://box@account.dfs.core.windows.net/a.jpg"),
        ("faces/a?b=c.jpg", "faces/a?b=c.jpg"),
    ],
)
def test_what_is_secret_is_cut(text: str, expected: str) -> None:
    assert shown(text) == expected
