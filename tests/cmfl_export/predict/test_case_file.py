"""Case files: whole, unchanged, and the same scores again."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError, InputError, ModelError
from cmfl_export.predict import predict_to, read_rows, recheck
from cmfl_export.predict.case_file import canonical
from cmfl_export.predict.recheck import Outcome
from cmfl_export.runtime.card import METADATA_KEY
from tests.cmfl_export import tiny_model
from tests.conftest import picture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    (folder / "sub").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    Image.fromarray(picture(7)).save(folder / "sub" / "1.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def case(model: Path, folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "case.zip"
    predict_to(model, [str(folder), str(folder / "absent.png")], tmp_path / "rows.jsonl", case=path)
    return path


def rewritten(case: Path, change: Callable[[str, bytes], bytes | None], *, seal: bool = False) -> Path:
    """A copy of a case with other files in it; sealed, its manifest is made to agree with them."""
    copy = case.with_name("changed.zip")
    with zipfile.ZipFile(case) as old:
        files = {name: change(name, old.read(name)) for name in old.namelist()}
    kept = {name: data for name, data in files.items() if data is not None}
    if seal:
        manifest = json.loads(kept["manifest.json"])
        manifest["files"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in kept.items()
            if name != "manifest.json"
        }
        kept["manifest.json"] = canonical(manifest)
    with zipfile.ZipFile(copy, "w") as new:
        for name, data in kept.items():
            new.writestr(name, data)
    return copy


def _replaced(new: dict[str, bytes], name: str, data: bytes) -> bytes:
    return new.get(name, data)


def test_what_is_in_it(case: Path, folder: Path, model: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(case) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(texts["manifest.json"])
    assert set(manifest["files"]) == set(texts) - {"manifest.json"}
    for name, entry in manifest["files"].items():
        assert entry == {"size": len(texts[name]), "sha256": hashlib.sha256(texts[name]).hexdigest()}
    inputs = [json.loads(line) for line in texts["inputs.jsonl"].splitlines()]
    assert [entry["path"] for entry in inputs] == [row.path for row in read_rows(tmp_path / "rows.jsonl")]
    for entry in inputs[:-1]:
        data = Path(entry["path"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert inputs[-1] == {"path": str(folder / "absent.png"), "status": "not_found"}
    setup = json.loads(texts["setup.json"])
    assert setup["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert setup["machine"]["versions"]["onnxruntime-gpu"]
    assert b"broken.png" in texts["report.html"]
    for name in ("manifest.json", "setup.json", "card.json"):
        assert canonical(json.loads(texts[name])) == texts[name]


def test_the_digest_is_the_last_line(model: Path, folder: Path, tmp_path: Path) -> None:
    summary = predict_to(model, [str(folder)], tmp_path / "rows.csv", case=tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert summary.lines()[-1] == hashlib.sha256(archive.read("manifest.json")).hexdigest()


def test_its_report_is_the_one_that_was_asked_for(model: Path, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    predict_to(model, [str(folder)], tmp_path / "rows.csv", case=tmp_path / "a.zip", report=page)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("report.html") == page.read_bytes()


def test_the_same_again(case: Path, model: Path) -> None:
    summary = recheck(case, model)
    assert summary.ok
    assert summary.outcomes == {Outcome.SAME: 6}
    assert recheck(case, model, digest=summary.digest, provider="onnxruntime").ok


def test_other_bytes_and_missing_files(case: Path, model: Path, folder: Path) -> None:
    Image.fromarray(picture(9)).save(folder / "1.png")
    (folder / "2.png").unlink()
    summary = recheck(case, model)
    found = {Path(finding.path).name: finding.outcome for finding in summary.findings}
    assert found == {"1.png": Outcome.OTHER_BYTES, "2.png": Outcome.MISSING}
    assert not summary.ok
    assert summary.lines()[0].endswith("1.png: other bytes")


def test_in_another_folder(case: Path, model: Path, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "archive"
    shutil.move(folder, moved)
    assert not recheck(case, model).ok
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (moved / "0.png", moved / "broken.png"):
        shutil.copy(path, flat)
    outcomes = recheck(case, model, inputs=flat).outcomes
    # The file that was absent is absent there, too.
    assert outcomes == {Outcome.SAME: 3, Outcome.MISSING: 3}


def test_a_score_that_does_not_come_out_again(case: Path, model: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name != "rows.jsonl":
            return data
        rows = [json.loads(line) for line in data.splitlines()]
        rows[0]["p_real"] = 1 - rows[0]["p_real"]
        rows[1]["decision"] = {"real": "synthetic", "synthetic": "real"}[rows[1]["decision"]]
        return b"".join(canonical(row) + b"\n" for row in rows)

    summary = recheck(rewritten(case, change, seal=True), model)
    assert [finding.outcome for finding in summary.findings] == [Outcome.OTHER_SCORE, Outcome.OTHER_DECISION]
    assert summary.digest != recheck(case, model).digest


@pytest.mark.parametrize("name", ["rows.jsonl", "inputs.jsonl", "card.json", "setup.json", "report.html"])
def test_a_changed_file_is_refused(case: Path, model: Path, name: str) -> None:
    changed = rewritten(case, lambda other, data: data.replace(b"1", b"2", 1) if other == name else data)
    with pytest.raises(InputError, match=f"{name} is not the one of the manifest"):
        recheck(changed, model)


def test_a_missing_or_added_file_is_refused(case: Path, model: Path) -> None:
    less = rewritten(case, lambda name, data: None if name == "rows.jsonl" else data)
    with pytest.raises(InputError, match="not a case file"):
        recheck(less, model)
    with zipfile.ZipFile(case, "a") as archive:
        archive.writestr("note.txt", "hello")
    with pytest.raises(InputError, match="not a case file"):
        recheck(case, model)


def test_another_digest_or_model_is_refused(case: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the one you gave"):
        recheck(case, model, digest="00" * 32)
    other = tiny_model.write(tmp_path / "other.onnx", threshold=0.7)
    with pytest.raises(ModelError, match="is not the model of"):
        recheck(case, other)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_case(data: bytes, model: Path, tmp_path: Path) -> None:
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"c\.zip"):
        recheck(tmp_path / "c.zip", model)


def test_setups_that_are_none(case: Path, model: Path) -> None:
    setups: list[dict[str, object]] = [
        {},
        {"model": {}, "options": {}},
        {"model": {}, "options": 3, "threshold": "x"},
    ]
    for setup in setups:
        new = {"setup.json": canonical(setup)}
        changed = rewritten(case, partial(_replaced, new), seal=True)
        with pytest.raises(CmflError):
            recheck(changed, model)


def test_a_run_that_fails_has_no_case(model: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="cannot be resumed"):
        predict_to(model, [str(folder)], tmp_path / "r.csv", case=tmp_path / "a.zip", resume=True)
    with pytest.raises(CmflError, match="no images found"):
        predict_to(model, [str(tmp_path / "faces" / "*.tif*")][:0], case=tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_band_is_checked_again(folder: Path, tmp_path: Path) -> None:
    proto = tiny_model.build()
    card = replace(tiny_model.card(), band=(0.0, 1.0))
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.save(proto, tmp_path / "banded.onnx")
    summary = predict_to(
        tmp_path / "banded.onnx", [str(folder)], tmp_path / "r.csv", case=tmp_path / "c.zip", provider="cpu"
    )
    assert summary.uncertain > 0
    assert f"{summary.uncertain} uncertain" in summary.lines()[0]
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert json.loads(archive.read("setup.json"))["band"] == [0, 1]
    assert recheck(tmp_path / "c.zip", tmp_path / "banded.onnx", provider="cpu").ok
