"""plan, predict --manifest and gather as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cmfl_export.command import cmfl, the_error


def test_plan_shards_gather(tiny: Path, faces: Path, tmp_path: Path) -> None:
    manifest, parts, out = tmp_path / "m.parquet", tmp_path / "parts", tmp_path / "all.csv"
    planned = cmfl("plan", faces, "-o", manifest, "--shards", 2)
    assert planned.stdout.startswith("4 inputs, 0.00 GB, in 2 shards (0-1) of at most 2: ")
    run = ("predict", tiny, "--manifest", manifest, "-o", parts, "--provider", "cpu", "--provenance")
    first = cmfl(*run, "--shard", "1/2")
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr.splitlines()[-1] == f"1 shard scored; parts in {parts}"
    assert the_error(cmfl("gather", parts, "-o", out)).endswith("shards 0; score them with --shard 0")
    second = cmfl(*run)
    assert second.returncode == 0
    assert second.stderr.splitlines()[-1].startswith("1 shard scored, 1 kept: ")
    gathered = cmfl("gather", parts, "-o", out, "--manifest", manifest)
    assert gathered.returncode == 1
    assert gathered.stderr.splitlines()[0] == "4 images: 1 real, 2 synthetic, 1 failed (1 not_an_image)"
    plain = cmfl("predict", tiny, faces, "--provider", "cpu", "--provenance")
    assert out.read_text() == plain.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "FACES", "--shard", "1"], "give its file with --manifest"),
        (["MODEL", "FACES", "--ray", "auto"], "give its file with --manifest"),
        (["MODEL", "FACES", "--manifest", "m.parquet", "-o", "parts"], "there is one argument, the model"),
        (["MODEL", "--manifest", "m.parquet"], "give the folder for the parts with -o"),
        (["MODEL", "--manifest", "m.parquet", "-o", "parts", "--resume"], "goes without --format"),
        (
            ["MODEL", "--manifest", "none.parquet", "-o", "parts"],
            "cannot read the manifest none.parquet",
        ),
    ],
)
def test_wrong_usage(tiny: Path, faces: Path, arguments: list[str], message: str) -> None:
    places = {"MODEL": str(tiny), "FACES": str(faces)}
    assert message in the_error(cmfl("predict", *[places.get(text, text) for text in arguments]))
