"""The report: what follows from the measurements, and how it is said."""

from __future__ import annotations

import json

import pytest

from cmfl_export.bench import table
from cmfl_export.bench.report import BenchReport
from tests.cmfl_export.bench.reports import inference, model, products, training


@pytest.fixture
def report() -> BenchReport:
    return inference()


def row(lines: list[str], name: str, table: int = 0) -> list[str]:
    """The cells of a contender in one of the tables."""
    found = [line for line in lines if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in found[table].strip("|").split("|")][1:]


class TestInference:
    def test_rates_ratios_spread_and_share(self, report: BenchReport) -> None:
        lines = table.lines(report)
        # The middle one of three rounds; of batch 1 four runs in 0.5 s.
        assert row(lines, "ONNX Runtime fp32") == ["8.0", "10.0", "10.0", "10.0", "2.00", "±21 %", "80 %"]
        # 50 images/s of 16 GFLOP each are all of 800 GFLOP/s.
        assert row(lines, "OpenVINO int8") == ["8.0", "50.0", "-", "50.0", "10.00", "±21 %", "100 %"]
        assert row(lines, "reference-style loop") == ["-", "-", "-", "5.0", "1.00", "±0 %", "-"]

    def test_latency_start_up_memory_and_scores(self, report: BenchReport) -> None:
        lines = table.lines(report)
        # Of twelve runs, ten of 100 ms, one of 200, one of 300.
        assert row(lines, "ONNX Runtime fp32", 1) == ["100.0", "289.0", "2.0", "512", "-", "-"]
        # 0.6 became 0.4, across the threshold; the fourth image has no score of the reference.
        assert row(lines, "ONNX Runtime int8", 1)[-2:] == ["2.0e-01", "1/3"]
        assert row(lines, "OpenVINO int8", 1)[-2:] == ["0.0e+00", "0/3"]

    def test_the_limit_is_the_fastest_means(self, report: BenchReport) -> None:
        lines = table.lines(report)
        assert "limit of the CPU in matrix products: fp32 200, int8 800 GFLOP/s" in lines
        assert "at 16.0 GFLOP per image these are: fp32 12.5, int8 50.0 images/s" in lines

    def test_failures_and_notes_come_last(self, report: BenchReport) -> None:
        assert table.lines(report)[-3:] == [
            "OpenVINO int8: no batch 32: no memory",
            "torch.compile fp32: does not load: no compiler",
            "a note",
        ]
        assert not report.ok

    def test_the_fastest_way_against_the_others(self, report: BenchReport) -> None:
        text = "\n".join(table.lines(report))
        assert (
            "fastest from files to scores: OpenVINO int8,\n"
            "  5.00 times ONNX Runtime fp32 and 10.00 times reference-style loop\n"
        ) in text

    def test_fits_a_terminal(self, report: BenchReport) -> None:
        assert max(map(len, [*table.lines(report), *table.lines(training())])) <= 80

    def test_tables_are_markdown(self, report: BenchReport) -> None:
        lines = [line for line in table.lines(report) if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 2
        assert sum(set(line) <= set("|-:") for line in lines) == 2

    def test_json_has_every_round(self, report: BenchReport) -> None:
        record = json.loads(report.to_json())
        fp32 = record["contenders"][0]
        folder = fp32["measures"]["folder"]
        assert folder["rounds"] == pytest.approx([9, 10, 11])
        assert (folder["min"], folder["median"], folder["max"]) == pytest.approx((9, 10, 11))
        assert fp32["measures"]["start-up"]["rounds"] == [2.5, 1.5, 2.0]
        assert fp32["latency_seconds"]["n"] == 12
        assert "scores" not in fp32
        assert record["contenders"][1]["difference"] == pytest.approx(
            {"max_abs_p": 0.2, "flips": 1, "compared": 3}
        )
        assert record["limits"][0] == {
            "device": "cpu",
            "precision": "fp32",
            "rate": 200e9,
            "means": "torch cpu",
        }
        assert record["machine"]["cpu"] == "Some Processor 9000"


class TestLimits:
    @pytest.mark.parametrize(
        ("on_gpu", "cpu_computes", "expected"),
        [(False, "bf16", 0.4), (False, "fp32", 0.4), (True, "", 0.016)],
    )
    def test_fp16_is_held_against_what_computes_it(
        self, on_gpu: bool, cpu_computes: str, expected: float
    ) -> None:
        fp16 = model("x fp16", "fp16", 10.0, scores=[0.5], on_gpu=on_gpu)
        whole = inference()
        report = BenchReport(
            training=False,
            machine=whole.machine,
            settings=whole.settings,
            operations=whole.operations,
            results=[fp16],
            products=[
                products("torch cpu", cpu_computes, 400),
                products("cuda", "fp16", 10_000, on_gpu=True),
            ],
        )
        assert report.share(fp16) == pytest.approx(expected)

    def test_none_without_the_arithmetic(self) -> None:
        whole = inference()
        report = BenchReport(False, whole.machine, whole.settings, None, whole.results, whole.products)
        assert report.share(whole.results[0]) is None
        assert not any("per image" in line for line in table.lines(report))

    def test_a_busy_machine_is_said(self) -> None:
        whole = inference()
        machine = whole.machine | {"load_before": 2.4}
        report = BenchReport(False, machine, whole.settings, None, whole.results, whole.products)
        assert "other programs were running (load 2.4); the figures are low" in table.lines(report)


class TestTraining:
    def test_the_loader_has_a_share(self) -> None:
        lines = table.lines(training())
        # 2 images/s alone and 1.5 with the loader: a quarter of the time is the loader's. 60 of 120 GFLOP/s.
        assert row(lines, "training fp32") == ["2.0", "1.5", "25 %", "1.60", "-", "50 %", "2000"]
        # Faster with the loader than without is noise, not a negative share.
        assert row(lines, "training bf16") == ["4.0", "4.1", "0 %", "3.20", "-", "-", "2000"]
        assert row(lines, "loader alone")[:2] == ["120", "-"]

    def test_json(self) -> None:
        record = json.loads(training().to_json())
        assert record["training"] is True
        assert record["contenders"][0]["loader_share"] == pytest.approx(0.25)
