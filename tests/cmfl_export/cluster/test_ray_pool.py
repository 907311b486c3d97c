"""Which worker gets which shard, with a stand-in for Ray in which the test says what happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cmfl_export.base.errors import InputError, ModelError
from cmfl_export.cluster import ray_pool
from cmfl_export.cluster.parts import AnotherSetupError
from cmfl_export.cluster.ray_pool import Pool
from cmfl_export.cluster.ray_worker import Loaded
from cmfl_export.predict import Summary

Outcome = Any  # a value, or an exception that `get` raises


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class OutOfMemoryError(RayError):
    pass


class ActorDiedError(RayError):
    pass


class FakeRay:
    """Futures end in the order in which they were asked for, unless they hang."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError
    )

    def __init__(self, of_shard: Callable[[int, int], Outcome]) -> None:
        self.of_shard = of_shard
        self.loads: deque[Outcome] = deque()
        self.outcomes: dict[int, Outcome] = {}
        self.calls: list[tuple[int, int]] = []
        self.killed: list[int] = []
        self.started = self.futures = 0

    def start(self) -> tuple[Any, int]:
        number, self.started = self.started, self.started + 1
        loaded = Loaded(f"node{number % 2}", "cpu", "", {"model": "m"})
        score = SimpleNamespace(remote=lambda shard, _out: self.asked(number, shard))
        return SimpleNamespace(number=number, score=score), self.future(
            self.loads.popleft() if self.loads else loaded
        )

    def asked(self, number: int, shard: int) -> int:
        self.calls.append((number, shard))
        return self.future(self.of_shard(shard, sum(other == shard for _, other in self.calls)))

    def future(self, outcome: Outcome) -> int:
        self.futures += 1
        self.outcomes[self.futures] = outcome
        return self.futures

    def wait(self, futures: list[int], **_: Any) -> tuple[list[int], list[int]]:
        ready = [future for future in sorted(futures) if self.outcomes[future] != "hangs"][:1]
        return ready, []

    def get(self, future: int) -> Any:
        outcome = self.outcomes[future]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.number)


def run(ray: FakeRay, shards: int = 6, workers: int = 2) -> tuple[Pool, dict[int, Summary | None]]:
    pool = Pool(ray, ray.start, lambda: workers)
    ended: list[tuple[int, Summary | None]] = list(pool.run(range(shards), "out"))
    pool.end()
    assert sorted(shard for shard, _ in ended) == list(range(shards))
    return pool, dict(ended)


def done(_shard: int, _attempt: int) -> Summary:
    return Summary("cpu", n=1)


def test_each_shard_runs_once() -> None:
    ray = FakeRay(done)
    pool, ended = run(ray)
    assert sorted(shard for _, shard in ray.calls) == list(range(6))
    assert all(ended.values())
    assert {worker for worker, _ in ray.calls} == {0, 1}
    assert (pool.lost, pool.doubled, pool.failed) == (0, [], {})
    assert pool.nodes == {"node0": 1, "node1": 1}
    assert sorted(ray.killed) == [0, 1]


def test_no_more_workers_than_shards() -> None:
    ray = FakeRay(done)
    run(ray, shards=3, workers=50)
    assert ray.started == 3


def test_a_shard_that_fails_is_tried_again_and_given_up() -> None:
    error = RayTaskError(InputError("the disk\nis gone"))
    ray = FakeRay(
        lambda shard, attempt: error if shard == 4 or (shard, attempt) == (2, 1) else Summary("cpu")
    )
    pool, ended = run(ray)
    assert [shard for shard, rows in ended.items() if rows is None] == [4]
    assert pool.failed == {4: "the disk is gone"}
    assert sum(shard == 4 for _, shard in ray.calls) == 3
    assert sum(shard == 2 for _, shard in ray.calls) == 2
    assert ray.started == 2


def test_workers_that_die_are_replaced() -> None:
    ray = FakeRay(lambda shard, attempt: ActorDiedError() if shard < 2 and attempt < 3 else Summary("cpu"))
    pool, ended = run(ray)
    assert all(ended.values())
    assert pool.lost == 4
    assert ray.started == 6
    ray = FakeRay(lambda shard, _: OutOfMemoryError() if shard == 0 else Summary("cpu"))
    pool, _ = run(ray)
    assert "for lack of memory" in pool.failed[0]


def test_a_straggler_is_taken_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(ray_pool, "_LOOK_AGAIN", 0.0)
    ray = FakeRay(lambda shard, attempt: "hangs" if shard == 1 and attempt == 1 else Summary("cpu", n=1))
    pool, ended = run(ray)
    assert all(ended.values())
    assert pool.doubled == [1]
    assert sum(shard == 1 for _, shard in ray.calls) == 2
    assert sorted(ray.killed) == [0, 1]


def test_a_copy_that_fails_leaves_the_other_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(ray_pool, "_LOOK_AGAIN", 0.0)

    class GoesOn(FakeRay):
        def get(self, future: int) -> Any:
            if isinstance(self.outcomes[future], ActorDiedError):
                hanging = next(future for future, value in self.outcomes.items() if value == "hangs")
                self.outcomes[hanging] = Summary("cpu")
            return super().get(future)

    ray = GoesOn(
        lambda shard, attempt: Summary("cpu") if shard != 1 else "hangs" if attempt == 1 else ActorDiedError()
    )
    pool, ended = run(ray)
    assert all(ended.values())
    assert (pool.lost, pool.doubled) == (1, [1])
    assert sum(shard == 1 for _, shard in ray.calls) == 2


def test_another_set_up_ends_the_run() -> None:
    ray = FakeRay(lambda *_: RayTaskError(AnotherSetupError("part-000000.parquet comes from ...")))
    with pytest.raises(AnotherSetupError, match="part-000000"):
        run(ray)
    assert len(ray.calls) < 4


def test_a_model_that_does_not_load_ends_the_run() -> None:
    ray = FakeRay(done)
    ray.loads.extend([RayTaskError(ModelError("m.onnx: no such model file"))] * 2)
    with pytest.raises(ModelError, match="no such model file"):
        run(ray)
    assert ray.started == 2


def test_a_node_with_another_model_is_not_used() -> None:
    ray = FakeRay(done)
    good, other = (Loaded("n", "cpu", "", {"model": name}) for name in "mo")
    ray.loads.extend([good, other])
    pool, ended = run(ray)
    assert all(ended.values())
    assert {worker for worker, _ in ray.calls} == {0}
    assert [str(error) for error in pool.refusals] == ["node n has another model (model: m -> o)"]
