"""Scores shards of a manifest, each into a part of its own (`cmfl predict --manifest`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from ..base.files import scratch_folder
from ..base.options import DetectorOptions, DetectorSettings
from ..base.progress import bar
from ..base.text import counted
from ..detector import Detector
from ..predict import RowScorer, Summary, open_writer
from ..provenance import read_anchors
from .entries import pictures_of
from .manifest import Manifest
from .parts import is_done, name_of, setup_of_part
from .places import deliver, inside, refuse_place
from .shard_numbers import as_text, chosen_shards


@dataclass
class ShardsSummary:
    """The result of a run over shards.

    Attributes:
        rows: what `cmfl predict` counts; inputs of parts that were there already are skipped.
        out: the folder of the parts.
        done, kept: shards whose parts were written, and those whose parts were there already.
        failed: why a shard has no part, by its number.
        notes: more lines for people.
    """

    rows: Summary
    out: str
    done: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The result as text, for standard error."""
        lines = self.rows.lines() if self.done else []
        kept = f", {len(self.kept)} kept: their parts are there" if self.kept else ""
        lines.append(f"{counted(len(self.done), 'shard')} scored{kept}; parts in {self.out}")
        reasons: dict[str, list[int]] = {}
        for shard, reason in self.failed.items():
            reasons.setdefault(reason, []).append(shard)
        lines += [f"failed: shards {as_text(shards)}: {reason}" for reason, shards in reasons.items()]
        return lines + self.notes


def predict_shards(
    model: str | Path | None,
    manifest: str,
    out: str,
    shards: str | None = None,
    *,
    progress: bool | None = None,
    provenance: bool = False,
    trust_anchors: str | Path | None = None,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> ShardsSummary:
    """Scores shards one after another; each part appears whole or not at all.

    A part of the same model, options and manifest is kept, so that any number of processes may run this on
    any shards, and again after a kill.

    Args:
        model, options, settings: see `Detector`.
        manifest: of `plan`; a file or an address.
        out: the folder of the parts; a folder or an address.
        shards: the shards to score, see `chosen_shards`; None is all.
        progress, provenance, trust_anchors: see `cmfl_export.predict.predict_to`.

    Raises:
        UsageError: an option or `out` cannot be used; a part comes from another model, options or manifest.
        InputError: the manifest cannot be read.
        ModelError, ProviderError: the model cannot be used.
        PackageError: a package is missing.
    """
    options = DetectorOptions.of(options, settings)
    refuse_place(out)
    job = Manifest.read(manifest)
    chosen = chosen_shards(shards, job.shards)
    anchors = read_anchors(trust_anchors)
    detector = Detector(model, options)
    scorer = RowScorer(detector, provenance, anchors)
    summary = ShardsSummary(Summary(detector.provider, detector.passed_over), out)
    start = time.perf_counter()
    total = sum(job.count(shard) for shard in chosen)
    with bar(lambda: total, shown=progress) as advance:
        for shard in chosen:
            rows = score_shard(scorer, job, shard, out, lambda: advance(summary.rows.skipped))
            summary.rows.add(rows)
            (summary.kept if rows.skipped else summary.done).append(shard)
    summary.rows.seconds = time.perf_counter() - start
    return summary


def score_shard(
    scorer: RowScorer, job: Manifest, shard: int, out: str, advance: Callable[[], None] = lambda: None
) -> Summary:
    """Scores one shard into its part, unless the part is there; then all its inputs are skipped.

    Args:
        scorer: the model, and what else makes the rows.
        job: the manifest.
        shard: its number.
        out: the folder of the parts.
        advance: called after each input.

    Raises:
        AnotherSetupError: a part of this shard comes from another set-up.
        UsageError: the part cannot be written.
        InputError: the manifest or the folder cannot be read.
    """
    setup = setup_of_part(scorer.setup, job, shard)
    summary = Summary(scorer.detector.provider)
    if is_done(out, setup):
        summary.skipped = job.count(shard)
        return summary
    with scratch_folder() as scratch:
        # Written here and not in the folder: a lock there would keep another worker from taking over.
        part = scratch / name_of(shard)
        with open_writer(part, groups=scorer.groups, setup=setup) as writer:
            for row in scorer.rows(pictures_of(job.paths(shard), job.column)):
                writer.write([row])
                summary.count(row)
                if row.is_last:
                    advance()
        deliver(part, inside(out, part.name))
    return summary
