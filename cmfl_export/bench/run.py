"""Runs `cmfl bench`: `bench` for exported models, `bench_training` for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..base.errors import UsageError, need
from ..base.files import refuse_overwriting, write_whole
from ..base.locks import one_writer
from ..images import refuse_inputs
from ..runtime.machine import describe
from ..runtime.providers import ON_GPU
from ..zoo import find_variants
from . import contenders, plot
from .contenders import Contender
from .measuring import measure
from .options import check
from .pictures import pictures
from .report import BenchReport
from .work import operations

# A single image, and what `cmfl predict` takes per run; a CPU gains nothing from more.
BATCH_SIZES, GPU_BATCH_SIZES = (1, 8), (1, 8, 64)


@one_writer("out", "picture")
def bench(
    models: Sequence[str],
    out: Path | None = None,
    *,
    picture: Path | None = None,
    images: Path | None = None,
    batch_sizes: Sequence[int] | None = None,
    seconds: float = 1.0,
    rounds: int = 3,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    peers: bool = True,
    compared: int = 64,
) -> BenchReport:
    """Measures exported models on every backend, PyTorch, and the machine's limit, in one run.

    Every contender has its own process; each round measures all in turn.

    Args:
        models: exported files of one network, or names of the zoo, each of which stands for all variants that
            are on this machine. The first fp32 file is the reference for scores.
        out: JSON file for every figure of every round.
        picture: .png, .svg or .pdf file for the plot.
        images: a folder of images to measure with; drawn images by default.
        batch_sizes: batch sizes of the network alone; latency needs 1 among them. By default 1 and 8, and
            with a GPU 64.
        seconds: duration of one measurement.
        rounds: how often each measurement is taken.
        threads: CPU threads of each contender; by default all cores.
        providers: the backends; by default all that load, without TensorRT.
        peers: whether to measure PyTorch too, and the loop of the official test script.
        compared: number of images whose scores are compared.

    Raises:
        UsageError: an unusable option or folder, or an output that cannot be written.
        ModelError, ProviderError: a model or a backend cannot be used.
        PackageError: matplotlib is missing.
    """
    if not models:
        raise UsageError("no model given; name exported .onnx files, or a model of the zoo")
    if batch_sizes is not None and (not batch_sizes or min(batch_sizes) < 1):
        raise UsageError("batch sizes are whole numbers of at least 1, such as 1,8,64")
    check(out, picture, seconds, rounds, threads, compared)
    found = find_variants(models)
    refuse_overwriting([out, picture], [("a model", model.path) for model in found])
    refuse_inputs([out, picture], [] if images is None else [str(images)])
    backends = contenders.choose_backends(providers)
    if batch_sizes is None:
        batch_sizes = GPU_BATCH_SIZES if set(ON_GPU) & set(backends) else BATCH_SIZES
    devices = contenders.torch_devices(backends) if peers else []
    entries = contenders.of_models(found, backends, batch_sizes)
    if devices:
        entries += contenders.of_pytorch(found[0].card, devices, batch_sizes)
    notes = []
    if peers and not devices:
        notes.append("PyTorch is not installed, so it was left out: pip install 'cmfl-export[train]'")
    if find_spec("onnx") is None:
        notes.append("shares of the limit need the package onnx: pip install 'cmfl-export[evaluate]'")
    settings: dict[str, Any] = {
        "models": [str(model.path) for model in found],
        "batch_sizes": list(dict.fromkeys(batch_sizes)),
        "seconds": seconds,
        "rounds": rounds,
        "threads": threads,
        "compared": compared,
    }
    with pictures(images) as (paths, words):
        entries += contenders.of_machine(backends, devices)
        report = _measured(entries, settings | {"images": words}, paths, operations(found[0].path), notes)
    _write(report, out, picture)
    return report


@one_writer("out", "picture")
def bench_training(
    out: Path | None = None,
    *,
    picture: Path | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seconds: float = 4.0,
    rounds: int = 3,
    threads: int | None = None,
) -> BenchReport:
    """Measures optimizer steps of `cmfl train` in fp32 and bf16, with and without its loader.

    Args:
        out, picture, seconds, rounds, threads: see `bench`.
        file, overrides: the training's configuration, see `training.config.make_config`; without a protocol,
            images are drawn.

    Raises:
        UsageError: as for `bench`.
        ProtocolError: the protocol cannot be used.
        PackageError: PyTorch or matplotlib is missing.
    """
    try:
        from training.config import make_config

        from .training_contenders import of_training, protocol_of
    except ImportError as error:
        raise need("train", f"measuring training ({error.name})") from error
    check(out, picture, seconds, rounds, threads)
    if file is not None:
        refuse_overwriting([out, picture], [("the configuration", file)])
    with protocol_of(make_config(None, file, **(overrides or {}))) as (whole, words):
        entries, device = of_training(whole)
        settings = {
            "batch_size": whole.batch_size,
            "workers": whole.workers,
            "seconds": seconds,
            "rounds": rounds,
            "threads": threads,
            "images": words,
        }
        entries += contenders.of_machine([], [device])
        report = _measured(entries, settings, [], None, [], training=True)
    _write(report, out, picture)
    return report


def _measured(
    entries: Sequence[Contender],
    settings: dict[str, Any],
    paths: Sequence[str],
    arithmetic: float | None,
    notes: Sequence[str],
    *,
    training: bool = False,
) -> BenchReport:
    machine = describe()
    results = measure(
        entries,
        seconds=settings["seconds"],
        rounds=settings["rounds"],
        threads=settings["threads"],
        images=paths,
        compared=settings.get("compared", 0),
    )
    products = [result for result in results if result.contender.kind == "products"]
    others = [result for result in results if result.contender.kind != "products"]
    if training:
        arithmetic = next((found for one in others if (found := one.about.get("operations"))), None)
    return BenchReport(training, machine, settings, arithmetic, others, products, notes)


def _write(report: BenchReport, out: Path | None, picture: Path | None) -> None:
    if out is not None:
        write_whole(out, report.to_json().encode())
    if picture is not None:
        plot.draw(report, picture)
