"""Runs `cmfl bench --serve`: models in `cmfl serve` beside `predict` on the same files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..base.errors import UsageError, need
from ..base.files import refuse_overwriting, write_whole
from ..base.locks import one_writer
from ..images import refuse_inputs
from ..runtime.machine import describe
from ..zoo import find_variants
from . import contenders
from .measuring import measure
from .options import check
from .pictures import pictures
from .serving_report import ServingReport

CLIENTS = (1, 4, 16, 64)
_MOST_CLIENTS = 1024  # each has a file of this process


@one_writer("out")
def bench_serving(
    models: Sequence[str],
    out: Path | None = None,
    *,
    images: Path | None = None,
    clients: Sequence[int] = CLIENTS,
    seconds: float = 5.0,
    rounds: int = 3,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    compared: int = 64,
) -> ServingReport:
    """Measures servers with exported models over loopback, in turn with `predict` on the same files.

    Args:
        models, images, threads, providers, compared: see `bench`.
        out: JSON file for every figure of every round.
        clients: how many ask at once; one measurement for each number.
        seconds: duration of one measurement; requests that have begun are waited for.
        rounds: how often each measurement is taken.

    Raises:
        UsageError: an unusable option or folder, or an output that cannot be written.
        ModelError, ProviderError: a model or a backend cannot be used.
        PackageError: the packages for serving are missing.
    """
    if not models:
        raise UsageError("no model given; name exported .onnx files, or a model of the zoo")
    if not clients or min(clients) < 1 or max(clients) > _MOST_CLIENTS:
        raise UsageError(f"numbers of clients are within 1 and {_MOST_CLIENTS}, such as 1,4,16,64")
    check(out, None, seconds, rounds, threads, compared)
    if not contenders.can_serve():
        raise need("serve", "measuring a server")
    found = find_variants(models)
    refuse_overwriting([out], [("a model", model.path) for model in found])
    refuse_inputs([out], [] if images is None else [str(images)])
    entries = contenders.of_servers(found, contenders.choose_backends(providers), clients)
    with pictures(images) as (paths, words):
        settings = {
            "models": [str(model.path) for model in found],
            "clients": list(dict.fromkeys(clients)),
            "seconds": seconds,
            "rounds": rounds,
            "threads": threads,
            "compared": compared,
            "images": words,
        }
        machine = describe()
        results = measure(
            entries, seconds=seconds, rounds=rounds, threads=threads, images=paths, compared=compared
        )
    report = ServingReport(machine, settings, results)
    if out is not None:
        write_whole(out, report.to_json().encode())
    return report
