"""What a server counts, in the text format of Prometheus."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from ..detector import Detector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_WINDOW = 60.0  # seconds of the rate


class Metrics:
    """The counters of one server. Used from one thread."""

    def __init__(self, detector: Detector) -> None:
        """Makes the counters, all at zero.

        Args:
            detector: named in the metrics.
        """
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "cmfl_requests", "Requests by route and code of the answer.", ["route", "code"], registry=registry
        )
        self._latency = Histogram(
            "cmfl_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rows = Counter("cmfl_rows", "Rows of answers by status.", ["status"], registry=registry)
        self._sizes = Histogram("cmfl_batch_images", "Images per batch.", buckets=_SIZES, registry=registry)
        self._runs = Histogram(
            "cmfl_batch_seconds", "Seconds that a batch ran.", buckets=_SECONDS, registry=registry
        )
        self._queue = Gauge("cmfl_queue_images", "Images that are decoded, wait or run.", registry=registry)
        rate = Gauge(
            "cmfl_images_per_second", "Images that ran per second of the last minute.", registry=registry
        )
        rate.set_function(self._rate)
        self._batches: deque[tuple[float, int]] = deque()
        Info("cmfl_model", "The model and where it runs.", registry=registry).info(
            {
                "name": detector.card.name,
                "precision": detector.card.precision,
                "sha256": detector.sha256,
                "provider": detector.provider,
            }
        )

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Takes the depth of the queue from a function."""
        self._queue.set_function(depth)

    def count_request(self, route: str, code: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests.labels(route, str(code)).inc()
        self._latency.labels(route).observe(seconds)

    def count_row(self, status: str) -> None:
        """Counts a row of an answer."""
        self._rows.labels(status).inc()

    def count_batch(self, images: int, seconds: float) -> None:
        """Counts a batch that ran."""
        self._sizes.observe(images)
        self._runs.observe(seconds)
        self._batches.append((time.monotonic(), images))
        self._forget()

    def text(self) -> bytes:
        """Returns all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def _rate(self) -> float:
        self._forget()
        return sum(images for _, images in self._batches) / _WINDOW

    def _forget(self) -> None:
        while self._batches and self._batches[0][0] < time.monotonic() - _WINDOW:
            self._batches.popleft()
