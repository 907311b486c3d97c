"""Data roots: the same images from a folder, archives, shards and a store."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cmfl_export.base.errors import InputError
from cmfl_export.images import DataRoot, ImageError, decode
from protocols import Sample, missing_files
from tests.cmfl_export.images.sources.archives_made import jpeg, tar, zipped

if TYPE_CHECKING:
    from .store import Store

IMAGES = {f"gan_{n % 2}/{n}.jpg": jpeg(10 * n) for n in range(6)}


@pytest.fixture
def roots(tmp_path: Path) -> list[str]:
    for name, data in IMAGES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "a.tar").write_bytes(tar({f"./{name}": data for name, data in IMAGES.items()}))
    (tmp_path / "a.zip").write_bytes(zipped(IMAGES))
    (tmp_path / "shards").mkdir()
    for number in range(2):
        part = {name: data for name, data in IMAGES.items() if name.startswith(f"gan_{number}")}
        (tmp_path / "shards" / f"{number}.tar").write_bytes(tar(part))
    names = ("folder", "a.tar", "a.zip", "shards", "shards/*.tar")
    return [str(tmp_path / name) for name in names]


def check(root: str) -> None:
    """Files are found, also in another process, and a missing one is named."""
    opened = pickle.loads(pickle.dumps(DataRoot.of(root).only(list(IMAGES)[:4])))
    for name, data in list(IMAGES.items())[:4]:
        np.testing.assert_array_equal(decode(opened.path(name)), decode(data))
    samples = [Sample(name, name, "") for name in (*IMAGES, "none.jpg")]
    for how in (None, decode):
        (missing,) = missing_files(samples, root, decode=how)
        assert missing[0].filename == "none.jpg"
        assert missing[1] in ("not found", "the archive has no such member", "no such object")


def test_every_kind_of_root_has_the_same_files(roots: list[str]) -> None:
    for root in roots:
        check(root)


def test_roots_in_a_store(s3: Store, roots: list[str]) -> None:
    for name, data in IMAGES.items():
        s3.put(f"faces/{name}", data)
    s3.put("a.tar", Path(roots[1]).read_bytes())
    for path in Path(roots[3]).iterdir():
        s3.put(f"shards/{path.name}", path.read_bytes())
    for root in (s3.url("faces"), s3.url("a.tar"), s3.url("shards/*.tar")):
        check(root)


def test_roots_that_cannot_be(tmp_path: Path, roots: list[str]) -> None:
    (tmp_path / "a.tgz").write_bytes(tar(IMAGES, "w:gz"))
    (tmp_path / "cut.tar").write_bytes(tar(IMAGES)[:3000])
    (tmp_path / "twice").mkdir()
    for name in ("a", "b"):
        (tmp_path / "twice" / f"{name}.tar").write_bytes(tar({"x.jpg": b"x"}))
    for name, message in (
        ("none", "is not a folder"),
        ("a.tgz", "cannot be read at random"),
        ("cut.tar", "ends early"),
        ("twice", "another shard"),
    ):
        with pytest.raises(InputError, match=message):
            DataRoot.of(tmp_path / name)
    with pytest.raises(InputError, match="holds a password or a signature") as caught:
        DataRoot.of("https://me:hidden@h/a.tar")
    assert "hidden" not in str(caught.value)


def test_a_folder_of_images_beside_an_archive_is_a_folder(tmp_path: Path, roots: list[str]) -> None:
    (tmp_path / "folder" / "old.tar").write_bytes(b"anything")
    assert DataRoot.of(roots[0]).folder == tmp_path / "folder"
    with pytest.raises(ImageError, match="no such file"):
        decode(DataRoot.of(roots[0]).path("none.jpg"))
