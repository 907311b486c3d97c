"""The page finds the faces in photographs: the rows of Python with `align`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.support.ui import Select

from cmfl_export import Detector
from cmfl_export.base.options import Align
from tests.cmfl_export.photographs import astronaut, coffee, group
from tests.cmfl_export.pictures import encoded
from tests.cmfl_export.web import inputs
from tests.cmfl_export.web.conftest import LocalPage

TENTHS = re.compile(r"(?<=\.)\d")
PLACE = ("face", "faces", "left", "top", "right", "bottom")


@pytest.mark.parametrize("align", ["largest", "all"])
def test_the_rows_are_those_of_python(
    align: Align, local: LocalPage, page: Path, pictured: Path, tmp_path: Path
) -> None:
    photographs = {
        "one.jpg": encoded(astronaut().resize((256, 256)), "JPEG", quality=95),
        "two.png": encoded(group((150, 10, 20), (90, 230, 100), size=(330, 200)), "PNG"),
        "none.png": encoded(coffee().crop((0, 0, 200, 200)), "PNG"),
        "bad.png": b"no image",
    }
    files = inputs.write(photographs, tmp_path)
    local.open(page)
    Select(local.browser.one("#align")).select_by_value(align)
    detector = Detector(pictured, provider="onnxruntime", align=align)
    expected = detector.predict(list(files), extras=True)
    found = local.rows(files, len(expected))
    assert [row["status"] for row in found] == [row.status for row in expected]
    assert [row["status"] for row in found][-2:] == ["no_face", "not_an_image"]
    assert "low_resolution" in [row["status"] for row in found]
    for row, right in zip(found, expected, strict=True):
        assert [row[name] for name in PLACE[:2]] == [right.face, right.faces]
        assert row["decision"] == right.decision
        # Of a small face it has the size in pixels, which may differ by a tenth.
        assert TENTHS.sub("", row["error"]) == TENTHS.sub("", right.error)
        if right.box is None:
            assert [row[name] for name in PLACE] == [None] * 6
            continue
        assert [row[name] for name in PLACE[2:]] == pytest.approx(right.box, abs=0.101)
        assert np.abs(row["crop"].astype(int) - right.extras["image"]).max() <= 1
        assert row["p_real"] == pytest.approx(right.p_real, abs=1e-5)
    assert local.browser.complaints() == []
    assert local.browser.requests() == []
