"""A made-up report with figures that can be checked by hand."""

from __future__ import annotations

from typing import Any

from cmfl_export.bench.contenders import FOLDER, PLAIN, START_UP, Contender
from cmfl_export.bench.measuring import Result, Sample
from cmfl_export.bench.report import BenchReport

BATCHES = (1, 8, 32)
GIGA = 1e9
MACHINE = {
    "cpu": "Some Processor 9000",
    "cores": 2,
    "load_before": 0.1,
    "gpu": None,
    "system": "Linux x86_64",
    "versions": {"python": "3.11.0"},
}
SETTINGS = {
    "batch_sizes": list(BATCHES),
    "seconds": 1.0,
    "rounds": 3,
    "threads": None,
    "images": "64 drawn images",
}


def samples(*rates: float) -> list[Sample]:
    """One sample of a second a rate."""
    return [Sample(rate, 1.0, (1.0,)) for rate in rates]


def model(
    name: str,
    precision: str,
    rate: float,
    *,
    scores: list[float | None],
    on_gpu: bool = False,
    failures: dict[str, str] | None = None,
) -> Result:
    """An exported model whose rates are `rate`, 10 % less in the first round and 10 % more in the last."""
    names = (*(f"batch {size}" for size in BATCHES), FOLDER)
    contender = Contender(name, "model", precision, (*names, START_UP), {"model": "m.onnx"}, on_gpu)
    measured = {measure: samples(0.9 * rate, rate, 1.1 * rate) for measure in names}
    measured["batch 1"] = [
        Sample(4, 0.4 + 0.1 * turn, (0.1, 0.1, 0.1, 0.1 + 0.1 * turn)) for turn in range(3)
    ]
    measured[START_UP] = [Sample(1, seconds) for seconds in (2.5, 1.5, 2.0)]
    about: dict[str, Any] = {"threshold": 0.5, "scores": scores, "peak_bytes": 512_000_000}
    failures = failures or {}
    kept = {key: value for key, value in measured.items() if key not in failures}
    return Result(contender, kept, about, failures)


def loop(rate: float) -> Result:
    return Result(
        Contender("reference-style loop", "loop", "fp32", (FOLDER,)),
        {FOLDER: samples(rate, rate, rate)},
        {"peak_bytes": 900_000_000},
    )


def products(means: str, precision: str, giga: float, *, on_gpu: bool = False) -> Result:
    contender = Contender(
        f"products {means} {precision}", "products", precision, ("products",), {"means": means}, on_gpu
    )
    return Result(contender, {"products": samples(*[giga * GIGA] * 3)})


def inference() -> BenchReport:
    """fp32 at 10 images/s of 12.5 possible, int8 at 40, a loop at 5, and a backend that does not load."""
    return BenchReport(
        training=False,
        machine=MACHINE,
        settings=SETTINGS,
        operations=16 * GIGA,
        results=[
            model("ONNX Runtime fp32", "fp32", 10.0, scores=[0.1, 0.9, 0.6, None]),
            model("ONNX Runtime int8", "int8", 40.0, scores=[0.1, 0.8, 0.4, 0.3]),
            model(
                "OpenVINO int8", "int8", 50.0, scores=[0.1, 0.9, 0.6, 0.3], failures={"batch 32": "no memory"}
            ),
            Result(
                Contender("torch.compile fp32", "torch", "fp32", ("batch 8",)),
                failures={"load": "no compiler"},
            ),
            loop(5.0),
        ],
        products=[
            products("cpu", "fp32", 180),
            products("torch cpu", "fp32", 200),
            products("cpu", "int8", 800),
        ],
        notes=["a note"],
    )


def training() -> BenchReport:
    def step(precision: str, alone: float, fed: float) -> Result:
        contender = Contender(f"training {precision}", "training", precision, ("step", "fed"))
        return Result(contender, {"step": samples(alone), "fed": samples(fed)}, {"peak_bytes": 2_000_000_000})

    plain = Result(Contender(PLAIN, "training", "fp32", ("step",)), {"step": samples(1.25)})
    loader = Contender("loader alone", "loader", "uint8", ("loader",))
    return BenchReport(
        training=True,
        machine=MACHINE,
        settings=SETTINGS,
        operations=10 * GIGA,
        results=[
            step("fp32", 2.0, 1.5),
            step("bf16", 4.0, 4.1),
            plain,
            Result(loader, {"loader": samples(120.0)}),
        ],
        products=[products("torch cpu", "fp32", 120)],
    )
