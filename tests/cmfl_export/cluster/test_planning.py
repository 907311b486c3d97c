"""cmfl plan: each input once, in order, in contiguous shards; the same inputs give the same file."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cmfl_export.base.errors import InputError, UsageError
from cmfl_export.cluster import Manifest, plan, planning
from cmfl_export.images import iter_paths


def test_a_row_for_each_input_in_order(job: Path) -> None:
    table = pq.read_table(job / "m.parquet").to_pydict()
    images = list(iter_paths([str(job / "images")]))
    assert table["path"] == [path.replace("\udce9", "\\xe9") for path in images]
    assert [raw for raw in table["path_bytes"] if raw] == [
        os.fsencode(path) for path in images if "\udce9" in path
    ]
    assert table["size"] == [Path(path).stat().st_size for path in images]
    assert table["shard"] == [0] * 4 + [1] * 5 + [2] * 4 + [3] * 5 + [4] * 5
    manifest = Manifest.read(str(job / "m.parquet"))
    assert (manifest.entries, manifest.shards, manifest.relative) == (23, 5, False)
    assert list(manifest.paths()) == images
    assert [path for shard in range(5) for path in manifest.paths(shard)] == images


def test_the_same_inputs_give_the_same_file(job: Path, tmp_path: Path) -> None:
    made = plan([str(job / "images")], str(tmp_path / "m.parquet"), shard_size=5)
    assert (made.entries, made.shards) == (23, 5)
    assert (tmp_path / "m.parquet").read_bytes() == (job / "m.parquet").read_bytes()
    plan([str(job / "images")], str(tmp_path / "other.parquet"), shards=4)
    digests = {Manifest.read(str(path)).digest for path in (tmp_path / "other.parquet", job / "m.parquet")}
    assert len(digests) == 2


def test_relative_paths_are_noted(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job)
    plan(["images"], str(tmp_path / "m.parquet"), shards=100)
    manifest = Manifest.read(str(tmp_path / "m.parquet"))
    assert manifest.relative
    assert (manifest.shards, manifest.inputs) == (23, ("images",))


def test_shards_across_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "ROWS_IN_GROUP", 7)
    names = [f"/nowhere/{number}" for number in range(50)]
    monkeypatch.setattr(planning, "iter_paths", lambda *_, **__: iter(names))
    for shards in (1, 3, 7, 50):
        plan(["-"], str(tmp_path / "m.parquet"), shards=shards)
        manifest = Manifest.read(str(tmp_path / "m.parquet"))
        assert [path for shard in range(shards) for path in manifest.paths(shard)] == names
        sizes = [manifest.count(shard) for shard in range(shards)]
        assert max(sizes) - min(sizes) <= 1


def test_a_long_list_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(count: int) -> Iterator[str]:
        return (f"s3://bucket/a/folder/with/a/name/{number:09}.jpg" for number in range(count))

    peaks = []
    monkeypatch.setattr(planning, "ROWS_IN_GROUP", 256)
    for count in (1_000, 4_000):
        monkeypatch.setattr(planning, "iter_paths", lambda *_, count=count, **__: listed(count))
        tracemalloc.start()
        plan(["-"], str(tmp_path / "m.parquet"), shard_size=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give --shards or --shard-size"),
        ({"shards": 3, "shard_size": 3}, "give --shards or --shard-size"),
        ({"shards": 0}, "at least 1 shard"),
        ({"shard_size": -1}, "at least 1 shard"),
        ({"shards": 2, "output": "m.csv"}, "is written to .parquet"),
    ],
)
def test_options_that_make_no_plan(job: Path, tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan([str(job / "images")], **({"output": str(tmp_path / "m.parquet")} | given))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_plan(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images found"):
        plan([str(tmp_path / "empty")], str(tmp_path / "m.parquet"), shards=2)
    assert not (tmp_path / "m.parquet").exists()


def test_what_is_no_manifest(job: Path, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pq.read_table(job / "m.parquet").slice(0, 3), tmp_path / "foreign.parquet")
    for name in ("text.parquet", "foreign.parquet"):
        with pytest.raises(InputError, match="is not a manifest of cmfl plan"):
            Manifest.read(str(tmp_path / name))
    with pytest.raises(InputError, match=r"cannot read the manifest .*: No such file"):
        Manifest.read(str(tmp_path / "missing.parquet"))
