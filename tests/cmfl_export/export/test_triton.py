"""The model repository for Triton: its files, the text of its configuration, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.export import triton
from cmfl_export.export.triton import export_triton
from cmfl_export.runtime import ModelCard, read_card
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import cmfl, the_error

# Read once with ModelConfig of the package tritonclient 2.73.
CONFIG = """\
# tiny, fp32: scores are P(real), an image is real where
# sigmoid(logit(p_real) / 1.0) >= 0.25
name: "tiny"
backend: "onnxruntime"
max_batch_size: 64
input { name: "image" data_type: TYPE_UINT8 dims: [224, 224, 3] }
output { name: "p_real" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }
output { name: "p_real_rgb" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }
output { name: "p_real_spectrum" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }
output { name: "embedding" data_type: TYPE_FP32 dims: [3] }
dynamic_batching { max_queue_delay_microseconds: 5000 }
"""


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_exported_file_is_taken_as_it_is(tmp_path: Path) -> None:
    model = tiny_model.write(tmp_path / "m.onnx", outputs=(*tiny_model.SCORES, "embedding"), threshold=0.25)
    result = cmfl("export", model, "--layout", "triton", "-o", tmp_path / "repository")
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "repository") == ["tiny/1/model.onnx", "tiny/config.pbtxt"]
    assert (tmp_path / "repository/tiny/1/model.onnx").read_bytes() == model.read_bytes()
    assert (tmp_path / "repository/tiny/config.pbtxt").read_text() == CONFIG


def test_other_models_stay(tiny: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "one"):
        export_triton(tiny, tmp_path, name=name)
    assert files(tmp_path) == [
        f"{name}/{file}" for name in ("one", "two") for file in ("1/model.onnx", "config.pbtxt")
    ]
    assert 'name: "two"' in (tmp_path / "two/config.pbtxt").read_text()


def test_weights_are_exported_first(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def export(weights: Path, out: Path, **options: Any) -> ModelCard:
        given.append((weights.name, out.name, options))
        out.write_bytes(tiny.read_bytes())
        return read_card(tiny)

    monkeypatch.setattr(triton, "export", export)
    export_triton(tmp_path / "best.safetensors", tmp_path / "faces", threshold=0.4)
    export_triton(tiny, tmp_path / "faces", precision="int8", calibration="images")
    assert files(tmp_path / "faces")[0] == "faces/1/model.onnx"
    assert given == [
        ("best.safetensors", "faces.onnx", {"precision": "fp32", "name": "faces", "threshold": 0.4}),
        ("tiny.onnx", "tiny.onnx", {"precision": "int8", "name": None, "calibration": "images"}),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../up"}, "'../up' cannot be the name of a folder; give another --name"),
        ({"threshold": 0.3}, "keeps the outputs and the card"),
    ],
    ids=str,
)
def test_refusals(options: dict[str, Any], message: str, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CmflError, match=message):
        export_triton(tiny, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in the_error(cmfl("export", tiny, "--layout", "triton", "-o", tmp_path / "file"))


def test_the_model_in_the_repository_is_not_overwritten_with_itself(tiny: Path, tmp_path: Path) -> None:
    export_triton(tiny, tmp_path)
    with pytest.raises(CmflError, match="is the weights file itself"):
        export_triton(tmp_path / "tiny/1/model.onnx", tmp_path)
