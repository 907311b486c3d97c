"""A real cluster of two nodes on this machine: rows are those of predict, whoever dies or stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.errors import UsageError
from cmfl_export.cluster import gather, plan, predict_on_ray, ray_pool
from cmfl_export.predict import parquet_rows, predict_to, read_rows
from tests.cmfl_export import tiny_model

ray = pytest.importorskip("ray")

_STORE = 78 * 2**20  # the least that Ray takes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes of one core each. The first is the head."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Else Ray leaves a token in the home.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
        # Ray gives its workers the lowest priority but one, with which they stand still on a busy machine.
        head = node | {"_system_config": {"worker_niceness": 0}}
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            made.add_node(**node)
            yield made
        finally:
            made.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def slow(job: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that takes its time, and a folder with a plan of 12 shards and the rows of plain predict."""
    folder = tmp_path_factory.mktemp("slow")
    model = tiny_model.write(folder / "slow.onnx", burden=100)
    plan([str(job / "images")], str(folder / "m.parquet"), shards=12)
    predict_to(model, [str(job / "images")], folder / "all.csv", provider="cpu", threads=1)
    return model, folder


def test_a_worker_is_killed_and_one_hangs(
    cluster: Any, slow: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "SLOW_SECONDS", 1.0)
    stopped = []

    def disturb() -> None:
        os.kill(busy_workers()[0], signal.SIGKILL)
        wait_for(lambda: len(list((tmp_path / "parts").glob("part-*"))) >= 5)
        stopped.append(busy_workers()[0])
        os.kill(stopped[0], signal.SIGSTOP)

    try:
        done = disturbed(disturb, cluster, slow, tmp_path)
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert done.failed == {}
    assert any("died, and others took over" in note for note in done.notes)
    assert any("ran long, and idle workers took them over" in note for note in done.notes)
    same_rows(tmp_path, slow[1])


def test_a_node_is_killed(cluster: Any, slow: tuple[Path, Path], tmp_path: Path) -> None:
    node = sorted(cluster.worker_nodes, key=id)[0]
    done = disturbed(lambda: cluster.remove_node(node, allow_graceful=False), cluster, slow, tmp_path)
    assert done.failed == {}
    assert done.rows.provider == "2 workers on 2 nodes, cpu"
    assert any("died, and others took over" in note for note in done.notes)
    same_rows(tmp_path, slow[1])
    again = predict_on_ray(
        slow[0], str(slow[1] / "m.parquet"), str(tmp_path / "parts"), address=cluster.address, provider="cpu"
    )
    assert (len(again.done), len(again.kept), again.rows.skipped) == (0, 12, 23)


def test_rows_with_what_files_say(cluster: Any, job: Path, tiny_of_job: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"provider": "cpu", "threads": 1, "provenance": True}
    out = str(tmp_path / "parts")
    predict_on_ray(
        tiny_of_job, str(job / "m.parquet"), out, "0", address=cluster.address, ray_workers=1, **settings
    )
    predict_to(tiny_of_job, [str(job / "images")], tmp_path / "all.csv", **settings)
    with (tmp_path / "parts" / "part-000000.parquet").open("rb") as stream:
        rows = list(parquet_rows(stream))
    assert rows == list(read_rows(tmp_path / "all.csv"))[: len(rows)]
    assert {row.c2pa_state for row in rows} == {"absent"}


def test_what_is_no_cluster(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*_: object, **__: object) -> None:
        raise ConnectionError("nobody\nanswers")

    monkeypatch.setattr(ray, "init", no_answer)
    for address, message in (
        ("ray://h:1", "ray job submit"),
        ("h:1", r"no Ray cluster at h:1 \(nobody answers\)"),
    ):
        with pytest.raises(UsageError, match=message):
            predict_on_ray("starter", str(job / "m.parquet"), str(tmp_path), address=address)


def disturbed(disturb: Callable[[], None], cluster: Any, slow: tuple[Path, Path], tmp_path: Path) -> Any:
    """Runs the slow job on two workers, and the disturbance once two parts are there."""
    hand_out = ray_pool.Pool._hand_out

    def when_both_are_there(self: ray_pool.Pool, *arguments: Any) -> None:
        if sum(self.nodes.values()) > 1:
            hand_out(self, *arguments)

    def when_it_runs() -> None:
        wait_for(lambda: len(list((tmp_path / "parts").glob("part-*"))) >= 2)
        disturb()

    thread = threading.Thread(target=when_it_runs)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_pool.Pool, "_hand_out", when_both_are_there)
            return predict_on_ray(
                slow[0],
                str(slow[1] / "m.parquet"),
                str(tmp_path / "parts"),
                address=cluster.address,
                provider="cpu",
                batch_size=1,
            )
    finally:
        thread.join()


def same_rows(tmp_path: Path, job: Path) -> None:
    gather(str(tmp_path / "parts"), str(tmp_path / "all.csv"), manifest=str(job / "m.parquet"))
    assert (tmp_path / "all.csv").read_bytes() == (job / "all.csv").read_bytes()


def busy_workers() -> list[int]:
    """The processes that score a shard now; Ray writes it into their titles."""
    found: list[int] = []

    def look() -> bool:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    title = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if title.startswith(b"ray::Worker.score"):
                    found.append(int(folder.name))
        return bool(found)

    wait_for(look)
    return found


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)
