"""The pipeline: order, one outcome a source, bounded window, early end, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cmfl_export.runtime import pipeline

# Seconds after which what should have happened long ago is not waited for any more.
GUARD = 60


def decode(source: int) -> list[pipeline.Decoded]:
    """An image [2, 2] full of the source; negative sources are broken ones."""
    if source < 0:
        raise ValueError(f"broken {source}")
    return [pipeline.Decoded(np.full((2, 2), source, np.uint8))]


class Model:
    """Gives back what is in the image, and records the shapes of its batches."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self.shapes.append(batch.shape)
        return {"value": batch[:, 0, 0].astype(np.float32)}


def values(outcomes: Iterator[pipeline.Outcome[int]]) -> list[float | str]:
    found: list[float | str] = []
    for outcome in outcomes:
        if outcome.outputs is None:
            found.append(f"{outcome.source}: {outcome.error}")
        else:
            found.append(float(outcome.outputs["value"]))
    return found


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("workers", [1, 5])
def test_one_outcome_a_source_in_order(batch_size: int, workers: int, pad: bool) -> None:
    sources = [-1, 0, 1, -2, -3, 2, 3, 4, -4, 5, 6, 7, 8, -5]
    got = values(pipeline.run(sources, decode, Model(), batch_size=batch_size, workers=workers, pad=pad))
    assert got == [source if source >= 0 else f"{source}: broken {source}" for source in sources]


def test_order_does_not_depend_on_which_decode_is_first() -> None:
    decoded = [threading.Event() for _ in range(12)]
    order = []

    def second_first(source: int) -> list[pipeline.Decoded]:
        assert source % 2 or decoded[source + 1].wait(GUARD)
        order.append(source)
        decoded[source].set()
        return decode(source)

    assert values(pipeline.run(range(12), second_first, Model(), batch_size=3, workers=4, pad=False)) == [
        *range(12)
    ]
    assert all(order.index(source + 1) < order.index(source) for source in range(0, 12, 2))


def test_failed_sources_take_no_place_in_a_batch() -> None:
    model = Model()
    sources = [0, -1, 1, -2, 2, 3, -3, 4]
    list(pipeline.run(sources, decode, model, batch_size=2, workers=2, pad=False))
    assert model.shapes == [(2, 2, 2), (2, 2, 2), (1, 2, 2)]


def test_a_source_may_have_several_images() -> None:
    """They keep their order and what is said about them, and batches stay as large as they should be."""

    def several(source: int) -> list[pipeline.Decoded]:
        return [pipeline.Decoded(decode(source)[0].image + part, part) for part in range(source)]

    model = Model()
    outcomes = list(pipeline.run([1, 5, 2], several, model, batch_size=3, workers=2, pad=False))
    assert [(outcome.source, outcome.about) for outcome in outcomes] == [
        (source, part) for source in (1, 5, 2) for part in range(source)
    ]
    assert [int(outcome.outputs["value"]) for outcome in outcomes if outcome.outputs] == [
        outcome.source + outcome.about for outcome in outcomes
    ]
    assert [shape[0] for shape in model.shapes] == [3, 3, 2]


def test_failed_sources_alone_wait_for_nothing() -> None:
    pulled = 0

    def broken() -> Iterator[int]:
        nonlocal pulled
        for pulled in range(1, 200):
            yield -pulled

    given = 0
    for given, _ in enumerate(pipeline.run(broken(), decode, Model(), batch_size=4, workers=2, pad=False), 1):
        assert pulled - given <= pipeline.window(4, 2)
    assert given == 199


def test_padding_keeps_one_shape_and_adds_no_rows() -> None:
    model = Model()
    assert len(list(pipeline.run(range(5), decode, model, batch_size=4, workers=1, pad=True))) == 5
    assert model.shapes == [(4, 2, 2), (4, 2, 2)]


def test_no_sources_no_rows_and_no_run() -> None:
    model = Model()
    assert list(pipeline.run([], decode, model, batch_size=4, workers=1, pad=True)) == []
    assert list(pipeline.run([-1, -2], decode, model, batch_size=4, workers=1, pad=True))[1].source == -2
    assert model.shapes == []


@pytest.mark.parametrize("broken", [False, True])
def test_the_window_is_bounded(broken: bool) -> None:
    """Also where everything after one good image is broken and waits for its batch."""
    pulled, given, furthest = 0, 0, 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        for source in range(3000):
            pulled += 1
            yield -source if broken else source % 256

    for _ in pipeline.run(endless(), decode, Model(), batch_size=4, workers=2, pad=False):
        furthest = max(furthest, pulled - given)
        given += 1
    most_in_a_batch = 4 * 8 if broken else 4
    assert given == 3000
    assert furthest <= 2 * most_in_a_batch + pipeline.window(4, 2)


def test_decoding_goes_on_while_the_model_runs() -> None:
    decoded = 0
    enough = threading.Event()

    def counting(source: int) -> list[pipeline.Decoded]:
        nonlocal decoded
        decoded += 1
        if decoded == 3:
            enough.set()
        return decode(source)

    def slow(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        assert enough.wait(GUARD)
        return {"value": np.array([decoded])}

    first = next(pipeline.run(range(10), counting, slow, batch_size=1, workers=1, pad=False))
    assert first.outputs is not None
    # At least those that the model waits for; at most two batches of one, and what is taken ahead.
    assert 3 <= first.outputs["value"] <= 2 + pipeline.window(1, 1)


def test_the_next_batch_is_there_when_one_has_run() -> None:
    """Rows of a batch are given while the next one runs."""
    last, running, may_end = threading.Event(), threading.Event(), threading.Event()

    def decode_all(source: int) -> list[pipeline.Decoded]:
        if source == 5:
            last.set()
        return decode(source)

    def held(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        assert last.wait(GUARD)
        if batch[0, 0, 0] == 2:
            running.set()
            assert may_end.wait(GUARD)
        return Model()(batch)

    outcomes = pipeline.run(range(6), decode_all, held, batch_size=2, workers=1, pad=False)
    assert next(outcomes).source == 0
    assert running.wait(GUARD)
    assert next(outcomes).source == 1
    may_end.set()
    assert [outcome.source for outcome in outcomes] == [2, 3, 4, 5]


def test_a_batch_that_has_run_does_not_wait_for_a_slow_decoder() -> None:
    decoded = threading.Event()

    def slow(source: int) -> list[pipeline.Decoded]:
        assert source < 2 or decoded.wait(GUARD)
        return decode(source)

    outcomes = pipeline.run(range(4), slow, Model(), batch_size=2, workers=2, pad=False)
    assert [next(outcomes).source for _ in range(2)] == [0, 1]
    decoded.set()
    assert [outcome.source for outcome in outcomes] == [2, 3]


def test_one_batch_runs_at_a_time() -> None:
    busy = threading.Lock()

    def alone(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        assert busy.acquire(blocking=False)
        time.sleep(0.002)
        busy.release()
        return Model()(batch)

    assert values(pipeline.run(range(40), decode, alone, batch_size=2, workers=2, pad=False)) == [*range(40)]


def test_batches_run_concurrently_and_no_more_of_them() -> None:
    together = threading.Barrier(3)
    running = 0
    lock = threading.Lock()

    def in_threes(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        nonlocal running
        with lock:
            running += 1
            assert running <= 3
        together.wait(GUARD)
        time.sleep(0.001 * (3 - batch[0, 0, 0] % 3))  # the first of three is the last to end
        with lock:
            running -= 1
        return Model()(batch)

    outcomes = pipeline.run(
        range(36), decode, in_threes, batch_size=2, workers=2, pad=False, concurrent_batches=3
    )
    assert values(outcomes) == [*range(36)]


@pytest.mark.parametrize("concurrent_batches", [2, 5])
def test_failed_sources_keep_their_places_between_concurrent_batches(concurrent_batches: int) -> None:
    sources = [-number if number % 3 == 0 else number for number in range(1, 100)]
    outcomes = pipeline.run(
        sources, decode, Model(), batch_size=2, workers=3, pad=True, concurrent_batches=concurrent_batches
    )
    assert [outcome.source for outcome in outcomes] == sources


def test_closing_early_starts_no_further_decode() -> None:
    started: list[int] = []
    ended: list[int] = []
    hold = threading.Event()

    def held(source: int) -> list[pipeline.Decoded]:
        started.append(source)
        if source >= 2:
            hold.wait(GUARD)
            ended.append(source)
        return decode(source)

    outcomes = pipeline.run(range(1000), held, Model(), batch_size=2, workers=2, pad=False)
    next(outcomes)
    outcomes.close()
    assert not ended  # closing has not waited for those that are held
    hold.set()
    for thread in threading.enumerate():
        if thread.name.startswith("cmfl-decode"):
            thread.join(GUARD)
            assert not thread.is_alive()
    assert len(started) <= 4


def test_an_exception_of_the_source_comes_after_the_rows_before_it() -> None:
    def sources() -> Iterator[int]:
        yield from (1, -2, 3)
        raise RuntimeError("the list ends here")

    outcomes = pipeline.run(sources(), decode, Model(), batch_size=8, workers=2, pad=False)
    assert [next(outcomes).source for _ in range(3)] == [1, -2, 3]
    with pytest.raises(RuntimeError, match="the list ends here"):
        next(outcomes)


def test_an_exception_of_the_model_is_raised() -> None:
    def lost(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        raise RuntimeError("GPU lost")

    with pytest.raises(RuntimeError, match="GPU lost"):
        list(pipeline.run(range(3), decode, lost, batch_size=2, workers=1, pad=False))


def test_outcomes_before_an_exception_of_the_model_are_given() -> None:
    def lost_later(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        if batch[0, 0, 0] >= 4:
            raise RuntimeError("GPU lost")
        return Model()(batch)

    outcomes = pipeline.run(range(9), decode, lost_later, batch_size=2, workers=2, pad=False)
    assert [next(outcomes).source for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="GPU lost"):
        next(outcomes)
