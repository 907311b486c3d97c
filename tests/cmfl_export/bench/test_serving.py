"""Servers beside predict: one run on the tiny model, its figures, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import contenders, serving
from cmfl_export.bench.contenders import FOLDER, Contender
from cmfl_export.bench.measuring import Result, Sample
from cmfl_export.bench.serving_report import ServingReport, serving_lines
from tests.cmfl_export.bench.reports import MACHINE, SETTINGS, samples
from tests.cmfl_export.command import cmfl, the_error


def report(**failures: str) -> ServingReport:
    """`predict` at 10, 20 and 40 images/s, a server at 9, 20 and 20 with latencies of 0.1 to 10 s."""
    predict = Result(Contender("M", "model", "fp32", (FOLDER,)), {FOLDER: samples(10, 20, 40)})
    times = [tuple(n / 10 for n in range(first, first + 33)) for first in (1, 34, 67)]
    served = [Sample(rate, 1.0, each) for rate, each in zip((9, 20, 20), times, strict=True)]
    measures = ("1 clients", "16 clients")
    server = Result(
        Contender("M served", "served", "fp32", measures),
        {"16 clients": served},
        {"provider": "cpu"},
        failures,
    )
    for result, scores in ((predict, [0.1, 0.6, None]), (server, [0.1, 0.4, 0.3])):
        result.about |= {"scores": scores, "threshold": 0.5}
    return ServingReport(MACHINE, SETTINGS, [predict, server])


class TestReport:
    def test_shares_are_taken_within_a_round(self) -> None:
        (found,) = json.loads(report().to_json())["models"]
        figures = found["server"]["16 clients"]
        assert figures["share_of_predict"] == 0.9
        assert figures["latency_seconds"] == {"p50": 5.0, "p99": pytest.approx(9.8, abs=0.05), "n": 99}
        assert found["difference"] == {"max_abs_p": pytest.approx(0.2), "flips": 1, "compared": 2}

    def test_table(self) -> None:
        lines = serving_lines(report(**{"1 clients": "it left"}))
        assert "| predict    |     20.0 |      1.00 |  ±75 % |      - |      - |" in lines
        assert "| 16 clients |     20.0 |      0.90 |  ±28 % |   5000 |   9802 |" in lines
        assert "| 1 client   |        - |         - |      - |      - |      - |" in lines
        assert lines[-2:] == ["max Δp 2.0e-01, 1 of 2 decisions differ", "M served: no 1 clients: it left"]
        assert max(map(len, lines)) <= 80


class TestRun:
    def test_every_figure(
        self, tiny: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A server of our own needs no token.
        monkeypatch.setenv("CMFL_SERVE_TOKEN", "secret")
        out = tmp_path / "b.json"
        options: dict[str, Any] = {"seconds": 0.05, "rounds": 2, "threads": 1, "providers": ["onnxruntime"]}
        found = serving.bench_serving([os.fspath(tiny)], out, images=faces, clients=[1, 3], **options)
        assert found.ok, [result.failures for result in found.results]
        (record,) = json.loads(out.read_text())["models"]
        assert {name: len(each["rounds"]) for name, each in record["server"].items()} == {
            "1 clients": 2,
            "3 clients": 2,
        }
        assert record["difference"] == {"max_abs_p": pytest.approx(0, abs=1e-6), "flips": 0, "compared": 3}
        assert record["server"]["3 clients"]["latency_seconds"]["n"] >= 6

    def test_a_server_that_does_not_start_is_a_line(
        self, tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(contenders, "choose_backends", lambda _wanted: ["tensorrt"])
        found = serving.bench_serving([os.fspath(tiny)], images=faces, seconds=0.05, rounds=1)
        assert not found.ok
        assert any(
            line.startswith("TensorRT fp32 served: does not load: tensorrt") for line in serving_lines(found)
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"models": []}, "no model given"),
            ({"clients": []}, "numbers of clients are within 1 and 1024"),
            ({"clients": [0]}, "numbers of clients are within 1 and 1024"),
            ({"clients": [2000]}, "numbers of clients are within 1 and 1024"),
            ({"rounds": 0}, "rounds must be at least 1"),
        ],
        ids=str,
    )
    def test_before_anything_is_measured(
        self, options: dict[str, Any], message: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(serving, "measure", lambda *_, **__: pytest.fail("measured"))
        with pytest.raises(CmflError, match=message):
            serving.bench_serving(**({"models": [str(tiny)]} | options))

    def test_missing_packages(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders, "can_serve", lambda: False)
        with pytest.raises(CmflError, match="pip install"):
            serving.bench_serving([os.fspath(tiny)])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--serve", "--plot", "a.png"], "--serve goes without --plot"),
            (["--serve", "--train"], "--serve goes without"),
            (["--clients", "4"], "--clients goes with --serve"),
            (["--serve", "--clients", "4,many"], "numbers of clients are numbers separated by commas"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_usage(self, arguments: list[str], message: str) -> None:
        assert message in the_error(cmfl("bench", "m.onnx", *arguments))
