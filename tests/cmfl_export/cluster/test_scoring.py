"""Shards into parts and parts into one file: the rows of plain predict, whatever was killed or repeated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmfl_export.base.errors import InputError, UsageError
from cmfl_export.cluster import gather, plan, predict_shards
from cmfl_export.predict import parquet_setup, predict_to, read_rows
from tests.cmfl_export import tiny_model

RUN = (
    "import sys; from cmfl_export.cluster import predict_shards;"
    "predict_shards(sys.argv[1], sys.argv[2], sys.argv[3], provider='cpu', threads=1, batch_size=1)"
)


def score(
    model: Path, job: Path, out: Path, shards: str | None = None, **settings: object
) -> tuple[int, int]:
    """Scores shards; returns how many were scored and how many were kept."""
    given = {"provider": "cpu", "threads": 1} | settings
    done = predict_shards(model, str(job / "m.parquet"), str(out), shards, **given)  # type: ignore[arg-type]
    return len(done.done), len(done.kept)


@pytest.fixture(scope="module")
def parts(job: Path, tiny_of_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "of the job"
    assert score(tiny_of_job, job, folder) == (5, 0)
    return folder


@pytest.fixture
def copied(parts: Path, tmp_path: Path) -> Path:
    shutil.copytree(parts, tmp_path / "parts")
    return tmp_path / "parts"


def test_gathered_rows_are_those_of_predict(job: Path, parts: Path, tmp_path: Path) -> None:
    for manifest in (None, str(job / "m.parquet")):
        gathered = gather(str(parts), str(tmp_path / "all.csv"), manifest=manifest)
        assert (tmp_path / "all.csv").read_bytes() == (job / "all.csv").read_bytes()
    assert gathered.rows.failed == {"not_an_image": 1, "empty": 2}
    assert (gathered.rows.images, gathered.shards, gathered.silent) == (23, 5, [])
    for ending in ("jsonl", "parquet"):
        gather(str(parts), str(tmp_path / f"all.{ending}"))
    assert list(read_rows(tmp_path / "all.jsonl")) == list(read_rows(job / "all.csv"))
    whole = pq.read_table(tmp_path / "all.parquet")
    assert whole.equals(pa.concat_tables(pq.read_table(part) for part in sorted(parts.iterdir())))


def test_a_part_says_what_it_comes_from(job: Path, parts: Path) -> None:
    with (parts / "part-000003.parquet").open("rb") as stream:
        setup = parquet_setup(stream)
    assert setup is not None
    assert setup["model"].startswith("tiny, SHA-256 ")
    assert (setup["shard"], setup["shards"], setup["threshold"]) == (3, 5, 0.5)
    assert {"manifest", "cmfl-export", "align", "max pixels"} <= set(setup)


def test_parts_are_kept_and_damaged_ones_are_not(job: Path, tiny_of_job: Path, copied: Path) -> None:
    (copied / "part-000001.parquet").unlink()
    os.truncate(copied / "part-000003.parquet", 500)
    before = (copied / "part-000000.parquet").stat().st_mtime_ns
    assert score(tiny_of_job, job, copied, "0-1,3") == (2, 1)
    assert (copied / "part-000000.parquet").stat().st_mtime_ns == before
    gather(str(copied), str(copied / "all.csv"), manifest=str(job / "m.parquet"))
    assert (copied / "all.csv").read_bytes() == (job / "all.csv").read_bytes()


def test_parts_of_faces(job: Path, tiny_of_job: Path, tmp_path: Path) -> None:
    """None of these has a face; the rows have their columns all the same."""
    assert score(tiny_of_job, job, tmp_path / "parts", align="all") == (5, 0)
    gather(str(tmp_path / "parts"), str(tmp_path / "all.csv"))
    predict_to(tiny_of_job, [str(job / "images")], tmp_path / "plain.csv", provider="cpu", align="all")
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_a_killed_shard_is_scored_again(job: Path, tmp_path: Path) -> None:
    slow = tiny_model.write(tmp_path / "slow.onnx", burden=6)
    out = tmp_path / "parts"
    for goal in (1, 3):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(slow), str(job / "m.parquet"), str(out)])
        while len(list(out.glob("part-*"))) < goal:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    there = len(list(out.glob("part-*")))
    assert there < 5
    assert score(slow, job, out, batch_size=1) == (5 - there, there)
    gather(str(out), str(tmp_path / "all.csv"), manifest=str(job / "m.parquet"))
    predict_to(slow, [str(job / "images")], tmp_path / "plain.csv", provider="cpu", threads=1)
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_predict_refuses_parts_of_another_set_up(
    job: Path, tiny_of_job: Path, copied: Path, tmp_path: Path
) -> None:
    other = tiny_model.write(tmp_path / "other.onnx", threshold=0.25)
    with pytest.raises(UsageError, match=r"part-000002.parquet comes from another set-up \(model: .*thresh"):
        score(other, job, copied, "2")
    with pytest.raises(UsageError, match=r"another set-up \(threshold: 0.5 -> 0.6\)"):
        score(tiny_of_job, job, copied, threshold=0.6)
    plan([str(job / "images" / "sub")], str(tmp_path / "m.parquet"), shards=5)
    with pytest.raises(UsageError, match=r"another set-up \(manifest: "):
        score(tiny_of_job, tmp_path, copied)


def test_gather_names_what_is_missing(parts: Path, copied: Path, tmp_path: Path) -> None:
    for shard in (0, 2, 3):
        (copied / f"part-{shard:06}.parquet").unlink()
    (tmp_path / "all.csv").write_text("kept")
    with pytest.raises(InputError, match=r"3 of 5 parts missing in .*: shards 0,2-3; .* --shard 0,2-3$"):
        gather(str(copied), str(tmp_path / "all.csv"))
    with pytest.raises(InputError, match="there are no parts in"):
        gather(str(tmp_path / "nowhere"), str(tmp_path / "all.csv"))
    assert (tmp_path / "all.csv").read_text() == "kept"


def test_gather_refuses_what_does_not_belong_together(
    job: Path, tiny_of_job: Path, copied: Path, tmp_path: Path
) -> None:
    part, out = copied / "part-000004.parquet", str(tmp_path / "all.csv")
    for settings, message in (
        ({"threshold": 0.75}, "threshold: 0.5 -> 0.75"),
        ({"max_pixels": 50}, "max pixels: 100000000 -> 50"),
    ):
        part.unlink()
        score(tiny_of_job, job, copied, "4", **settings)
        with pytest.raises(UsageError, match=f"part-000004.* do not belong together: {message}; remove"):
            gather(str(copied), out)
    plan([str(job / "images" / "sub")], str(tmp_path / "m.parquet"), shards=5)
    part.unlink()
    score(tiny_of_job, tmp_path, copied, "4")
    with pytest.raises(UsageError, match="do not belong together: manifest: "):
        gather(str(copied), out)
    shutil.copyfile(copied / "part-000001.parquet", part)
    with pytest.raises(InputError, match=r"part-000004.parquet is damaged or no part; .* --shard 4$"):
        gather(str(copied), out)
    assert not Path(out).exists()


def test_gather_checks_the_parts_against_the_manifest(
    job: Path, tiny_of_job: Path, copied: Path, tmp_path: Path
) -> None:
    plan([str(job / "images" / "sub")], str(tmp_path / "m.parquet"), shards=5)
    with pytest.raises(UsageError, match="are of another manifest than"):
        gather(str(copied), str(tmp_path / "all.csv"), manifest=str(tmp_path / "m.parquet"))
    part = copied / "part-000002.parquet"
    file = pq.ParquetFile(part)
    rows = file.read()
    with pq.ParquetWriter(part, rows.schema) as writer:
        writer.write_table(rows.slice(0, 3))
        writer.add_key_value_metadata({"cmfl": file.metadata.metadata[b"cmfl"]})
    with pytest.raises(InputError, match="has other inputs than the manifest"):
        gather(str(copied), str(tmp_path / "all.csv"), manifest=str(job / "m.parquet"))
    part.write_bytes(part.read_bytes()[:4] + b"\xff" * 64 + part.read_bytes()[68:])
    with pytest.raises(InputError, match=r"part-000002.parquet is damaged"):
        gather(str(copied), str(tmp_path / "all.csv"))


def test_shards_without_any_score_are_named(job: Path, tiny_of_job: Path, tmp_path: Path) -> None:
    plan([str(job / "images")], str(tmp_path / "m.parquet"), shards=23)
    assert score(tiny_of_job, tmp_path, tmp_path / "parts") == (23, 0)
    gathered = gather(str(tmp_path / "parts"), str(tmp_path / "all.csv"))
    assert len(gathered.silent) == 3
    assert "no input of shards " in gathered.lines()[-1]


def test_a_folder_is_needed(job: Path, tiny_of_job: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").touch()
    with pytest.raises(UsageError, match="is a file; give the folder for the parts"):
        score(tiny_of_job, job, tmp_path / "rows.csv")
