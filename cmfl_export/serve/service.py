"""One server without its HTTP: the detector, its queue, limits and counters."""

from __future__ import annotations

import json
from typing import Any

from ..base.versions import own_version
from ..detector import Detector
from ..runtime import ARRAYS
from . import hosts, openapi
from .limits import Store
from .metrics import Metrics
from .options import ServeOptions
from .scoring import Scorer

_MIB = 1 << 20


class Service:
    """What the routes answer from.

    Attributes:
        options, token: as given.
        hosts: those that requests may name, or None for all.
        scorer, store, metrics: see there.
        most_files: images in one request.
        ready: whether the model has warmed up and the server is not about to end.
    """

    def __init__(self, detector: Detector, options: ServeOptions, token: str | None) -> None:
        """Prepares the threads and the counters.

        Args:
            detector: of the options.
            options: of the server.
            token: what requests have to bring, or None.

        Raises:
            UsageError: an option about faces is out of its range.
        """
        self.options = options
        self.token = token
        self.hosts = hosts.allowed(options.host, options.allow_hosts, is_open=options.is_open)
        self.metrics = Metrics(detector)
        self.store = Store(options.max_body_mb * _MIB, options.max_held_mb * _MIB)
        self.scorer = Scorer(
            detector,
            wait=options.max_wait_ms / 1000,
            most_waiting=options.max_queue,
            most_seconds=options.deadline,
            metrics=self.metrics,
        )
        self.most_files = min(options.max_files, options.max_queue)
        self.ready = False

    async def warm_up(self) -> None:
        """Runs the model once, after which the service is ready.

        Raises:
            ProviderError: it failed to run.
        """
        await self.scorer.warm_up()
        self.ready = True

    def model(self) -> dict[str, Any]:
        """The card of the model, and how it runs here."""
        detector = self.scorer.detector
        card = json.loads(detector.card.to_json())
        card["domain"].pop(ARRAYS, None)  # some 150 kB that only the detector uses
        return {
            "card": card,
            "sha256": detector.sha256,
            "provider": detector.provider,
            "threshold": detector.threshold,
            "band": detector.band,
            "aligned": detector.aligned,
            "aligns": self.scorer.aligns,
            "version": own_version(),
        }

    def seconds_to_empty(self) -> int:
        """In how many seconds what waits now is done; at the latest at its deadline."""
        return self.scorer.pace.seconds_to_empty(self.options.deadline)

    def close(self) -> None:
        """Starts no further work."""
        self.scorer.close()

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return openapi.document(
            own_version(), self.options, token=self.token is not None, hosts=self.hosts is not None
        )
