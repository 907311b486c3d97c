"""What runs on a node of a Ray cluster: an actor that holds one Detector and scores shards."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from ..base import setups
from ..base.errors import UsageError
from ..base.options import DetectorOptions
from ..detector import Detector
from ..predict import RowScorer, Summary
from .manifest import Manifest
from .scoring import score_shard


@dataclass(frozen=True)
class Loaded:
    """What a worker says once it has its model."""

    node: str
    provider: str
    passed_over: str
    setup: dict[str, Any]


class Worker:
    """Scores shards with one Detector. Loading is a method, so that its error comes back as it is."""

    def load(
        self,
        model: str | None,
        options: DetectorOptions,
        job: Manifest,
        folder: str,
        provenance: bool = False,
        anchors: str = "",
    ) -> Loaded:
        """Loads the model.

        Args:
            model, options: see `Detector`.
            job: the manifest, which this node must be able to read.
            folder: where the command runs: relative paths start there on every node.
            provenance, anchors: see `RowScorer`.

        Raises:
            CmflError: as `Detector`; or the folder is not on this node.
        """
        import ray

        node = f"{socket.gethostname()} ({ray.get_runtime_context().get_node_id()[:8]})"
        try:
            os.chdir(folder)
        except OSError:
            if job.relative:
                raise UsageError(
                    f"node {node} has no folder {folder}, from which the paths of {job.path} start; use a "
                    "file system that all nodes share, or plan absolute paths"
                ) from None
        self._job = job
        detector = Detector(model, options)
        self._scorer = RowScorer(detector, provenance, anchors)
        return Loaded(
            node,
            detector.provider,
            detector.passed_over,
            {**setups.complete(self._scorer.setup), "manifest": job.digest},
        )

    def score(self, shard: int, out: str) -> Summary:
        """Scores a shard, see `score_shard`."""
        return score_shard(self._scorer, self._job, shard, out)
