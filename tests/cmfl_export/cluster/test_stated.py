"""Shards with --provenance: the rows of plain predict, and parts that are not taken for those without it."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import UsageError
from cmfl_export.cluster import gather, plan, predict_shards
from cmfl_export.predict import predict_to, read_rows
from tests.cmfl_export.provenance.files import certificates, saved, signed, write_three


@pytest.fixture(scope="module")
def stated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that say something, also in an archive, a trust anchor, and a plan of two shards."""
    pytest.importorskip("c2pa")
    folder = tmp_path_factory.mktemp("stated")
    write_three(folder / "files")
    (folder / "files" / "d.jpg").write_bytes(signed(saved()))
    with tarfile.open(folder / "files" / "e.tar", "w") as archive:
        for name in ("a.png", "d.jpg"):
            archive.add(folder / "files" / name, name)
    (folder / "root.pem").write_bytes(certificates()[0])
    plan([str(folder / "files"), str(folder / "files" / "e.tar")], str(folder / "m.parquet"), shards=2)
    return folder


@pytest.mark.parametrize("anchored", [False, True])
def test_rows_are_those_of_predict(stated: Path, tiny_of_job: Path, tmp_path: Path, anchored: bool) -> None:
    settings: dict[str, Any] = {"provider": "cpu", "threads": 1, "provenance": True}
    settings["trust_anchors"] = stated / "root.pem" if anchored else None
    predict_shards(tiny_of_job, str(stated / "m.parquet"), str(tmp_path / "parts"), **settings)
    gather(str(tmp_path / "parts"), str(tmp_path / "all.csv"), manifest=str(stated / "m.parquet"))
    inputs = [str(stated / "files"), str(stated / "files" / "e.tar")]
    predict_to(tiny_of_job, inputs, tmp_path / "plain.csv", **settings)
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    rows = list(read_rows(tmp_path / "all.csv"))
    state = "valid" if anchored else "untrusted"
    assert [row.c2pa_state for row in rows] == ["absent", "absent", None, state, "absent", state]
    assert rows[4].generator == "Stable Diffusion web UI"


def test_parts_of_other_set_ups_are_refused(stated: Path, tiny_of_job: Path, tmp_path: Path) -> None:
    def score(**settings: Any) -> None:
        predict_shards(
            tiny_of_job, str(stated / "m.parquet"), str(tmp_path / "parts"), provider="cpu", **settings
        )

    score()
    with pytest.raises(UsageError, match=r"another set-up \(columns: .*provenance"):
        score(provenance=True)
    for part in (tmp_path / "parts").iterdir():
        part.unlink()
    score(provenance=True)
    with pytest.raises(UsageError, match=r"another set-up \(trust anchors: none -> SHA-256 "):
        score(provenance=True, trust_anchors=stated / "root.pem")
