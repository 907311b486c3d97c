"""Batches: when they start, what is in them, and what a failure touches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cmfl_export.serve.batching import Batcher, Outputs
from tests.cmfl_export.serve.servers import until

HOUR = 3600.0


class Model:
    """Gives each image its first value back; waits before each batch if it is told to."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[int], bool, bool]] = []
        self.opened = threading.Event()
        self.opened.set()
        self.fails = False

    def __call__(self, batch: NDArray[np.uint8], extras: bool, alone: bool) -> Outputs:
        self.batches.append((batch[:, 0].tolist(), extras, alone))
        assert self.opened.wait(60)
        if self.fails:
            raise ValueError("broken")
        return {"p_real": batch[:, 0].astype(np.float32)}


def image(value: int) -> NDArray[np.uint8]:
    return np.full(1, value, np.uint8)


def run(model: Model, talk: Callable[[Batcher], Coroutine[Any, Any, None]], **options: Any) -> list[int]:
    """Has a conversation with a batcher; returns the images of each batch that ended."""
    ended: list[int] = []
    settings = {"size": 4, "wait": HOUR, "lanes": 1, "pad": False} | options

    async def conversation() -> None:
        batcher = Batcher(model, on_batch=lambda images, _: ended.append(images), **settings)
        try:
            async with asyncio.timeout(60):
                await talk(batcher)
        finally:
            batcher.close()

    asyncio.run(conversation())
    return ended


def ask(batcher: Batcher, *values: int) -> list[asyncio.Task[Outputs]]:
    return [asyncio.create_task(batcher.outputs(image(value))) for value in values]


def test_a_full_batch_starts_at_once_and_each_image_gets_its_own() -> None:
    model = Model()

    async def talk(batcher: Batcher) -> None:
        found = await asyncio.gather(*ask(batcher, 1, 2, 3, 4))
        assert [float(outputs["p_real"]) for outputs in found] == [1, 2, 3, 4]

    assert run(model, talk) == [4]
    assert model.batches == [([1, 2, 3, 4], False, True)]


def test_an_incomplete_batch_starts_after_its_wait() -> None:
    model = Model()

    async def talk(batcher: Batcher) -> None:
        await asyncio.gather(*ask(batcher, 1, 2))

    assert run(model, talk, wait=0.01) == [2]


def test_batches_fill_while_the_lane_is_busy() -> None:
    model = Model()
    model.opened.clear()

    async def talk(batcher: Batcher) -> None:
        tasks = ask(batcher, 1)
        await until(lambda: len(model.batches) == 1)
        tasks += ask(batcher, 2, 3, 4, 5, 6)
        await until(lambda: batcher.waiting == 5)
        model.opened.set()
        await asyncio.gather(*tasks)

    assert run(model, talk, wait=0.0) == [1, 4, 1]
    assert [batch for batch, _, _ in model.batches] == [[1], [2, 3, 4, 5], [6]]


def test_several_lanes_share_the_threads_only_where_several_batches_wait() -> None:
    model = Model()
    model.opened.clear()

    async def talk(batcher: Batcher) -> None:
        tasks = ask(batcher, 1)
        await until(lambda: len(model.batches) == 1)
        tasks += ask(batcher, 2)
        await until(lambda: len(model.batches) == 2)
        tasks += ask(batcher, 3)
        await until(lambda: batcher.waiting == 1)
        model.opened.set()
        await asyncio.gather(*tasks)

    run(model, talk, size=1, lanes=2)
    assert [alone for _, _, alone in model.batches[:2]] == [True, False]


def test_optional_outputs_are_fetched_if_one_image_wants_them() -> None:
    model = Model()

    async def talk(batcher: Batcher) -> None:
        await asyncio.gather(*ask(batcher, 1), batcher.outputs(image(2), extras=True))

    run(model, talk, size=2)
    assert model.batches == [([1, 2], True, True)]


def test_padding_keeps_the_shape() -> None:
    model = Model()

    async def talk(batcher: Batcher) -> None:
        (outputs,) = await asyncio.gather(*ask(batcher, 7))
        assert float(outputs["p_real"]) == 7

    assert run(model, talk, wait=0.0, pad=True) == [1]
    assert model.batches == [([7, 0, 0, 0], False, True)]


def test_what_was_cancelled_is_not_run() -> None:
    model = Model()
    model.opened.clear()

    async def talk(batcher: Batcher) -> None:
        first, left, stays = ask(batcher, 1, 2, 3)
        await until(lambda: batcher.waiting == 2)
        left.cancel()
        model.opened.set()
        await asyncio.gather(first, stays)
        assert left.cancelled()

    run(model, talk, size=1)
    assert [batch for batch, _, _ in model.batches] == [[1], [3]]


def test_a_failure_is_that_of_its_batch_alone() -> None:
    model = Model()
    model.fails = True

    async def talk(batcher: Batcher) -> None:
        for error in await asyncio.gather(*ask(batcher, 1, 2), return_exceptions=True):
            assert str(error) == "broken"
        model.fails = False
        (outputs, _) = await asyncio.gather(*ask(batcher, 3, 4))
        assert float(outputs["p_real"]) == 3

    assert run(model, talk, size=2) == [2, 2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {(1, True), (4, True)}),
        ({"lanes": 2}, {(1, True), (1, False), (4, True), (4, False)}),
        ({"pad": True}, {(4, True)}),
    ],
)
def test_the_warm_up_runs_what_requests_will_need(
    options: dict[str, Any], expected: set[tuple[int, bool]]
) -> None:
    model = Model()
    run(model, lambda batcher: batcher.warm_up(image(0)), **options)
    assert {(len(batch), alone) for batch, _, alone in model.batches} == expected
