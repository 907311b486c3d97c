"""Shards over the workers of a Ray cluster: who gets which, what is tried again, what is done twice."""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import CmflError, UsageError
from ..base.setups import differences
from ..predict import Summary
from .parts import AnotherSetupError
from .ray_worker import Loaded

ATTEMPTS = 3
# A worker without work takes over a shard that has run this many times the median, and these seconds.
SLOW, SLOW_SECONDS = 2.0, 10.0
_LOOK_AGAIN = 1.0
_COUNT_AGAIN = 5.0


@dataclass(eq=False)
class _Hand:
    """A worker as the pool sees it; without `loaded` it is starting, without `shard` it is idle."""

    actor: Any
    loaded: Loaded | None = None
    shard: int | None = None
    since: float = field(default_factory=time.monotonic)


class Pool:
    """Runs shards until each has its part or has failed `ATTEMPTS` times.

    Attributes:
        nodes: workers that were ready, by node.
        providers: the same, by provider.
        doubled: shards that a second worker took over.
        lost: workers that died.
        failed: the last error of shards that are given up.
        refusals: why workers could not be used; their places stay empty.
    """

    def __init__(self, ray: Any, start: Callable[[], tuple[Any, Any]], capacity: Callable[[], int]) -> None:
        """Makes a pool without workers.

        Args:
            ray: the module.
            start: starts a worker; returns it, and the future of its `Loaded`.
            capacity: how many workers the cluster has room for now.
        """
        self._ray = ray
        self._start = start
        self._capacity = capacity
        self._hands: dict[Any, _Hand] = {}
        self._idle: deque[_Hand] = deque()
        self._attempts = Counter[int]()
        self._seconds: list[float] = []
        self._setup: dict[str, Any] | None = None
        self._counted = -_COUNT_AGAIN
        self.nodes = Counter[str]()
        self.providers = Counter[str]()
        self.passed_over = ""
        self.doubled: list[int] = []
        self.lost = 0
        self.failed: dict[int, str] = {}
        self.refusals: list[CmflError] = []

    def run(self, shards: Iterable[int], out: str) -> Iterator[tuple[int, Summary | None]]:
        """Yields each shard with its rows' summary as it ends; with None where it is given up.

        Raises:
            AnotherSetupError: a part in the way comes from another set-up.
            CmflError: no worker can load the model.
        """
        waiting = deque(shards)
        open_shards = set(waiting)
        while open_shards:
            self._fill(len(open_shards))
            self._hand_out(waiting, open_shards, out)
            if not self._hands:
                if self.refusals:
                    raise self.refusals[-1]
                time.sleep(_LOOK_AGAIN)  # all nodes are gone, or none has room yet
                continue
            ready, _ = self._ray.wait(list(self._hands), num_returns=1, timeout=_LOOK_AGAIN)
            for future in ready:
                hand = self._hands.pop(future)
                shard, hand.shard = hand.shard, None
                if shard is None:
                    self._welcome(hand, future)
                    continue
                summary, why = self._result(hand, future)
                if shard not in open_shards:
                    continue
                if summary is not None:
                    self._seconds.append(time.monotonic() - hand.since)
                elif any(other.shard == shard for other in self._hands.values()):
                    continue
                else:
                    self._attempts[shard] += 1
                    if self._attempts[shard] < ATTEMPTS:
                        waiting.append(shard)
                        continue
                    self.failed[shard] = why
                open_shards.discard(shard)
                yield shard, summary

    def end(self) -> None:
        """Ends the workers, those too that still run a shard that is done."""
        for hand in (*self._hands.values(), *self._idle):
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(hand.actor)

    def _fill(self, wanted: int) -> None:
        """Starts workers where the cluster has room: at first, after one died, and when nodes come."""
        if time.monotonic() - self._counted < _COUNT_AGAIN:
            return
        self._counted = time.monotonic()
        room = min(self._capacity() - len(self.refusals), wanted)
        for _ in range(room - len(self._hands) - len(self._idle)):
            actor, loaded = self._start()
            self._hands[loaded] = _Hand(actor)

    def _hand_out(self, waiting: deque[int], open_shards: set[int], out: str) -> None:
        while self._idle:
            shard = waiting.popleft() if waiting else self._straggler(open_shards)
            if shard is None:
                return
            hand = self._idle.popleft()
            hand.shard, hand.since = shard, time.monotonic()
            self._hands[hand.actor.score.remote(shard, out)] = hand

    def _straggler(self, open_shards: set[int]) -> int | None:
        """Returns a shard that runs suspiciously long, once: its part may be written twice without harm."""
        if not self._seconds:
            return None
        limit = max(SLOW_SECONDS, SLOW * statistics.median(self._seconds))
        copies = Counter(hand.shard for hand in self._hands.values())
        running = [hand for hand in self._hands.values() if hand.shard in open_shards]
        for hand in sorted(running, key=lambda hand: hand.since):
            if time.monotonic() - hand.since > limit and copies[hand.shard] == 1:
                assert hand.shard is not None
                self.doubled.append(hand.shard)
                return hand.shard
        return None

    def _welcome(self, hand: _Hand, future: Any) -> None:
        """Takes in a worker that has loaded its model, if it is the same model as the others'."""
        try:
            loaded = self._ray.get(future)
        except self._ray.exceptions.RayTaskError as error:
            self._refuse(hand, error.cause)
            return
        except self._ray.exceptions.RayError:
            self._lose()
            return
        self._setup = self._setup or loaded.setup
        changed = differences(self._setup, loaded.setup)
        if changed:
            self._refuse(hand, UsageError(f"node {loaded.node} has another model ({'; '.join(changed)})"))
            return
        self.nodes[loaded.node] += 1
        self.providers[loaded.provider] += 1
        self.passed_over = self.passed_over or loaded.passed_over
        hand.loaded = loaded
        self._idle.append(hand)

    def _refuse(self, hand: _Hand, error: BaseException) -> None:
        self._ray.kill(hand.actor)
        if not isinstance(error, CmflError):
            raise error
        self.refusals.append(error)

    def _result(self, hand: _Hand, future: Any) -> tuple[Summary | None, str]:
        """Returns the summary of a shard, or why there is none."""
        try:
            summary: Summary = self._ray.get(future)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(hand)
            if isinstance(error.cause, AnotherSetupError):
                raise error.cause from None
            return None, " ".join(f"{error.cause}".split()) or type(error.cause).__name__
        except self._ray.exceptions.OutOfMemoryError:
            self._lose()
            return None, "its worker was ended for lack of memory; use smaller --batch-size or fewer workers"
        except self._ray.exceptions.RayError as error:
            self._lose()
            return None, f"its worker died ({type(error).__name__})"
        self._idle.append(hand)
        return summary, ""

    def _lose(self) -> None:
        self.lost += 1
        self._counted = -_COUNT_AGAIN
