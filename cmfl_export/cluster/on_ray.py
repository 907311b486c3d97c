"""Scores a manifest on a Ray cluster that is there already (`cmfl predict --manifest --ray`)."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Unpack

from ..base.errors import UsageError, need
from ..base.interrupts import lasting
from ..base.options import DetectorOptions, DetectorSettings
from ..base.privacy import silence_ray
from ..base.progress import bar
from ..base.text import counted
from ..images import scheme_of
from ..predict import Summary
from ..provenance import read_anchors
from .manifest import Manifest
from .places import refuse_place
from .ray_pool import Pool
from .ray_worker import Worker
from .scoring import ShardsSummary
from .shard_numbers import as_text, chosen_shards

_PERIOD = 1800.0


def predict_on_ray(
    model: str | Path | None,
    manifest: str,
    out: str,
    shards: str | None = None,
    *,
    address: str = "auto",
    ray_workers: int | None = None,
    progress: bool | None = None,
    provenance: bool = False,
    trust_anchors: str | Path | None = None,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> ShardsSummary:
    """Scores shards on the nodes of a Ray cluster, each into a part of its own; see `predict_shards`.

    Each worker holds one Detector with `threads` CPU threads (1 by default) and one GPU where the cluster
    has GPUs and the provider may use them. Workers and nodes may die and come: their shards go to others. A
    shard that fails three times is given up, and the others go on. Idle workers take over shards that run
    long.

    Args:
        model, manifest, out, shards, options, settings: see `predict_shards`. Every node must be able to
            read the model, the manifest and the inputs, and to write to `out`, at these places.
        address: of the cluster as `HOST:PORT`; "auto" is RAY_ADDRESS, else the cluster of this machine;
            "local" starts one on this machine alone.
        ray_workers: how many workers; None is as many as the cluster has room for.
        progress, provenance, trust_anchors: see `cmfl_export.predict.predict_to`.

    Raises:
        UsageError: there is no such cluster; and as in `predict_shards`.
        CmflError: no worker can load the model.
        PackageError: Ray is missing.
    """
    options = DetectorOptions.of(options, settings)
    refuse_place(out)
    if ray_workers is not None and ray_workers < 1:
        raise UsageError(f"--ray-workers must be at least 1, not {ray_workers}")
    job = Manifest.read(manifest if scheme_of(manifest) else str(Path(manifest).absolute()))
    chosen = chosen_shards(shards, job.shards)
    place = out if scheme_of(out) else str(Path(out).absolute())
    if model is not None and Path(model).is_file():
        model = Path(model).absolute()
    anchors = read_anchors(trust_anchors)
    summary = ShardsSummary(Summary(""), out)
    with _connected(address) as ray:
        per_worker, capacity = _room(ray, options, ray_workers)
        actors = ray.remote(Worker).options(**per_worker, max_restarts=0, max_task_retries=0)
        name = None if model is None else str(model)
        loading = (name, _of_worker(options), job, str(Path.cwd()), provenance, anchors)

        def start() -> tuple[Any, Any]:
            actor = actors.remote()
            return actor, actor.load.remote(*loading)

        pool = Pool(ray, start, capacity)
        began = time.perf_counter()
        total = sum(map(job.count, chosen))
        try:
            # Shards end minutes apart.
            with bar(lambda: total, shown=progress, period=_PERIOD) as advance:
                for shard, rows in pool.run(chosen, place):
                    if rows is None:
                        continue
                    summary.rows.add(rows)
                    (summary.kept if rows.skipped else summary.done).append(shard)
                    advance(summary.rows.skipped, rows.images)
        finally:
            with lasting():
                pool.end()
        summary.rows.seconds = time.perf_counter() - began
        _describe(summary, pool)
    return summary


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connects to a cluster; the signal handlers stay those of the command.

    Raises:
        UsageError: there is none.
        PackageError: Ray is missing.
    """
    if address.startswith("ray://"):
        raise UsageError(
            "ray:// is not used; run this command on the cluster, with: ray job submit -- cmfl ..."
        )
    silence_ray()
    before = signal.getsignal(signal.SIGTERM)
    try:
        import ray
    except ImportError as error:
        raise need("ray", "--ray") from error
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(f"no Ray cluster at {address} ({why}); start one with: ray start --head") from None
    finally:
        with suppress(ValueError, TypeError):  # not the main thread, or not a handler of Python
            signal.signal(signal.SIGTERM, before)
    try:
        yield ray
    finally:
        with lasting():
            ray.shutdown()


def _room(ray: Any, options: DetectorOptions, most: int | None) -> tuple[dict[str, float], Any]:
    """Returns what a worker takes of a node, and a function that counts the workers that fit."""
    threads = options.threads or 1
    gpu = options.provider in ("auto", "cuda", "cuda-graph", "tensorrt") and any(
        node["Resources"].get("GPU", 0) >= 1 for node in ray.nodes() if node["Alive"]
    )
    kind, each = ("GPU", 1) if gpu else ("CPU", threads)

    def capacity() -> int:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fits = sum(int(resources.get(kind, 0) // each) for resources in nodes)
        return fits if most is None else min(fits, most)

    return {"num_cpus": threads, "num_gpus": 1 if gpu else 0}, capacity


def _of_worker(options: DetectorOptions) -> DetectorOptions:
    """Returns the options on a node, where a worker is one of several."""
    return DetectorOptions.of(
        options, {"threads": options.threads or 1, "workers": options.workers or options.threads or 1}
    )


def _describe(summary: ShardsSummary, pool: Pool) -> None:
    providers = " and ".join(sorted(pool.providers)) or os.devnull
    workers, nodes = counted(sum(pool.nodes.values()), "worker"), counted(len(pool.nodes), "node")
    summary.rows.provider = f"{workers} on {nodes}, {providers}"
    summary.rows.passed_over = pool.passed_over
    summary.failed = pool.failed
    if pool.lost:
        summary.notes.append(f"{counted(pool.lost, 'worker')} died, and others took over")
    summary.notes += [f"a worker was not used: {error}" for error in dict.fromkeys(map(str, pool.refusals))]
    if pool.doubled:
        summary.notes.append(f"shards {as_text(pool.doubled)} ran long, and idle workers took them over")
