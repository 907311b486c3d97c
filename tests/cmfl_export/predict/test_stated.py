"""predict --provenance: each row has what its own file says, whatever happens to the others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from cmfl_export.base.errors import CmflError
from cmfl_export.predict import predict_to, read_rows
from cmfl_export.runtime import Prediction
from tests.cmfl_export import tiny_model
from tests.cmfl_export.provenance.files import SETTINGS, png, saved, write_three


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write_three(folder)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (folder / "d.jpg").write_bytes(saved(icc_profile=profile))
    (folder / "e.jpg").write_bytes(saved(icc_profile=b"no profile"))
    # Says something, and has no picture that can be scored.
    (folder / "f.png").write_bytes(png(parameters=SETTINGS)[:-40])
    return folder


def scored(folder: Path, out: Path, **options: Any) -> list[Prediction]:
    model = tiny_model.write(folder.parent / "tiny.onnx")
    predict_to(model, [str(folder)], out, provider="cpu", progress=False, provenance=True, **options)
    return list(read_rows(out))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_each_row_has_what_its_file_says(folder: Path, tmp_path: Path, ending: str) -> None:
    rows = scored(folder, tmp_path / f"rows.{ending}")
    assert [Path(row.path).name[0] for row in rows] == list("abcdef")
    web_ui = "Stable Diffusion web UI"
    assert [row.generator for row in rows] == [web_ui, None, None, None, None, web_ui]
    assert [row.c2pa_state for row in rows] == ["absent", "absent", None, "absent", "absent", "absent"]
    assert [row.colour_profile for row in rows[:3]] == [None] * 3
    assert "sRGB" in (rows[3].colour_profile or "")
    assert rows[4].colour_profile == "damaged"
    assert rows[5].p_real is None


def test_the_header_and_a_resume(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    first = scored(folder, out)
    text = out.read_text()
    assert text.splitlines()[0].endswith(",source_type,generator,c2pa_state,colour_profile")
    out.write_text("".join(text.splitlines(keepends=True)[:3]))
    assert scored(folder, out, resume=True) == first
    with pytest.raises(CmflError, match="cannot be resumed"):
        predict_to(
            folder.parent / "tiny.onnx", [str(folder)], out, provider="cpu", resume=True, progress=False
        )


def test_in_the_report_as_text(folder: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    (folder / "g.png").write_bytes(png(parameters=f"{evil}\nSteps: 20, Sampler: Euler a, Model: {evil}"))
    scored(folder, tmp_path / "rows.csv", report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Stable Diffusion web UI" in page
    assert evil not in page
