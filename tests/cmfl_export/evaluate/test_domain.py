"""The domain from a calibration to the rows: what is fitted, who is refused, and the flag in every format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate.calibration import Calibration, calibrate
from cmfl_export.predict import predict_to
from cmfl_export.predict.parquet_rows import parquet_rows
from cmfl_export.predict.report_page import open_report
from cmfl_export.predict.rows import read_rows
from cmfl_export.runtime import METADATA_KEY, Prediction, columns_with
from cmfl_export.runtime.domain import Domain
from tests.cmfl_export import example_rows, graded, tiny_model

OUTPUTS = ("p_real", "embedding")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey images in two splits of a protocol, and a model with the means of the channels as embedding."""
    folder = tmp_path_factory.mktemp("domain")
    graded.make(folder, split="train", prefix="t")
    graded.make(folder, split="dev", prefix="d")
    graded.make(folder, split="eval", prefix="e")
    model = tiny_model.build(OUTPUTS)
    card = replace(tiny_model.card(OUTPUTS), architecture="one_stream", spectra="rgb")
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, folder / "plain.onnx")
    return folder


@pytest.fixture(scope="module")
def calibration(root: Path) -> Calibration:
    return calibrate(
        root / "plain.onnx",
        root / "new.onnx",
        protocol=root / "protocol",
        data_root=root,
        domain_split="train",
    )


@pytest.fixture(scope="module")
def inputs(root: Path, calibration: Calibration) -> list[Path]:
    """A grey image, a red one, and none."""
    folder = root / "inputs"
    folder.mkdir()
    Image.new("RGB", (224, 224), (120, 120, 120)).save(folder / "grey.png")
    Image.new("RGB", (224, 224), (250, 10, 10)).save(folder / "red.png")
    (folder / "none.png").write_bytes(b"no image")
    return [folder / name for name in ("grey.png", "red.png", "none.png")]


class TestCalibrate:
    def test_fits_to_the_training_split_and_takes_the_limit_from_the_other(
        self, calibration: Calibration
    ) -> None:
        stored = calibration.card.domain
        assert (stored["split"], stored["images"]) == ("protocol/train", 20)
        assert (stored["limit_split"], stored["limit_images"], stored["outside"]) == ("protocol/dev", 20, 0.0)
        assert any("domain of 20 images of protocol/train" in line for line in calibration.lines())
        levels = [level for _, some in graded.FOLDERS.values() for level in some]
        distances = Domain.from_card(stored).distance(
            np.array([[level / 255] * 3 for level in levels], np.float32)
        )
        assert stored["limit"] == pytest.approx(distances.max(), rel=1e-3)

    def test_a_later_calibration_keeps_it(self, root: Path, calibration: Calibration) -> None:
        again = calibrate(calibration.out, root / "b.onnx", protocol=root / "protocol", data_root=root)
        assert again.card.domain == calibration.card.domain
        assert not again.domain

    def test_refuses_a_model_without_embedding(self, root: Path, tiny: Path) -> None:
        with pytest.raises(CmflError, match=r"no embedding among its outputs.*--outputs embedding"):
            calibrate(tiny, root / "c.onnx", protocol=root / "protocol", data_root=root, domain_split="train")

    @pytest.mark.parametrize("split", ["dev", "eval"])
    def test_refuses_the_other_splits(self, split: str, root: Path) -> None:
        with pytest.raises(CmflError, match="trained on"):
            calibrate(
                root / "plain.onnx",
                root / "d.onnx",
                protocol=root / "protocol",
                data_root=root,
                domain_split=split,
            )


class TestRows:
    def test_the_flag_is_of_what_is_unlike_the_training_images(
        self, calibration: Calibration, inputs: list[Path]
    ) -> None:
        detector = Detector(calibration.out, align=None)
        assert detector.groups == ("domain",)
        grey, red, none = detector.predict(list(inputs))
        assert grey.out_of_domain is False
        assert grey.domain is not None
        assert 0 <= grey.domain < 100
        assert (red.out_of_domain, red.domain) == (True, 100)
        assert (none.out_of_domain, none.domain) == (None, None)
        assert red.p_real == pytest.approx(
            detector.card.calibrated(tiny_model.expected(np.array(Image.open(inputs[1])))[0]), abs=1e-5
        )

    def test_the_embedding_is_an_extra_only_where_extras_are(
        self, calibration: Calibration, inputs: list[Path]
    ) -> None:
        detector = Detector(calibration.out, align=None)
        assert not detector.predict(inputs[0]).extras
        row = detector.predict(inputs[0], extras=True)
        assert set(row.extras) == {"embedding", "image"}
        assert row.domain == detector.predict(inputs[0]).domain

    def test_a_model_without_domain_has_no_columns(self, root: Path, inputs: list[Path]) -> None:
        detector = Detector(root / "plain.onnx", align=None)
        assert detector.groups == ()
        assert detector.predict(inputs[0]).domain is None

    @pytest.mark.parametrize("format", ["csv", "jsonl", "json", "parquet"])
    def test_every_format_has_it_and_gives_it_back(
        self, format: str, calibration: Calibration, inputs: list[Path], tmp_path: Path
    ) -> None:
        out = tmp_path / f"rows.{format}"
        summary = predict_to(calibration.out, list(map(str, inputs)), out, align=None)
        assert summary.out_of_domain == 1
        assert any(line.startswith("1 out of domain") for line in summary.lines())
        rows = list(_read(out))
        expected = Detector(calibration.out, align=None).stream(list(map(str, inputs)))
        columns = columns_with(["domain"])
        assert [row.record(columns) for row in rows] == [row.record(columns) for row in expected]
        if format == "csv":
            header, *lines = out.read_text().splitlines()
            assert header.split(",") == list(columns_with(["domain"]))
            assert [line.rsplit(",", 1)[1] for line in lines] == ["false", "true", ""]
        if format == "jsonl":
            records = map(json.loads, out.read_text().splitlines())
            assert [record["out_of_domain"] for record in records] == [False, True, None]

    def test_a_resumed_file_goes_on(
        self, calibration: Calibration, inputs: list[Path], tmp_path: Path
    ) -> None:
        out = tmp_path / "rows.csv"
        predict_to(calibration.out, [str(inputs[0])], out, align=None)
        summary = predict_to(calibration.out, list(map(str, inputs)), out, resume=True, align=None)
        assert (summary.skipped, summary.n) == (1, 2)
        assert [row.out_of_domain for row in read_rows(out)] == [False, True, None]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ('"domain": 101', "domain is 101"),
            ('"domain": true', "domain is True"),
            ('"domain": null', "go together"),
            ('"domain": 3, "out_of_domain": 1', "out_of_domain is 1"),
        ],
    )
    def test_a_row_with_other_values_is_refused(self, change: str, why: str, tmp_path: Path) -> None:
        record = example_rows.row("a", 0.5, domain=3.0, out_of_domain=False).record(columns_with(["domain"]))
        file = tmp_path / "rows.jsonl"
        file.write_text(json.dumps(record | json.loads(f"{{{change}}}")) + "\n")
        with pytest.raises(CmflError, match=why):
            list(read_rows(file))

    def test_csv_knows_true_and_false_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.csv"
        file.write_text(",".join(columns_with(["domain"])) + "\na,0.5,,,real,ok,,3.0,1\n")
        with pytest.raises(CmflError, match="out_of_domain is '1'; it must be true, false or empty"):
            list(read_rows(file))


def test_the_report_counts_and_marks(calibration: Calibration, inputs: list[Path], tmp_path: Path) -> None:
    detector = Detector(calibration.out, align=None)
    with open_report(tmp_path / "page.html", detector, pictures=0) as report:
        for row in detector.stream(list(map(str, inputs))):
            report.add(row)
    assert report.out_of_domain == 1
    data = example_rows.data(tmp_path / "page.html")
    assert data["domain"] is True
    assert {Path(row["path"]).name: row["outside"] for row in data["rows"]} == {
        "grey.png": False,
        "red.png": True,
        "none.png": False,
    }


def _read(out: Path) -> Iterator[Prediction]:
    if out.suffix != ".parquet":
        yield from read_rows(out)
        return
    with out.open("rb") as stream:
        yield from parquet_rows(stream)
