"""Leaves attacks out of a split: to choose a model by generators that it was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cmfl_export.base.errors import UsageError

from .schema import Sample


def leave_out(samples: Sequence[Sample], names: Sequence[str]) -> tuple[list[Sample], list[Sample]]:
    """Divides the samples of a training split into those that stay and those that are left out.

    Args:
        samples: the split.
        names: attacks, or ATTACK/FOLDER for the part of an attack whose files are in that folder, where
            samples of one generator come from several sources.

    Raises:
        UsageError: a name is no attack of the split, or no attack would stay.
    """
    of_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if not sample.is_real:
            for name in {sample.attack_type, f"{sample.attack_type}/{sample.folder}"}:
                of_name[name].append(sample)
    unknown = [name for name in names if name not in of_name]
    if unknown:
        raise UsageError(
            f"train has no attack {unknown[0]!r} to leave out; it has: {', '.join(sorted(of_name))}"
        )
    gone = {sample for name in names for sample in of_name[name]}
    kept = [sample for sample in samples if sample not in gone]
    if all(sample.is_real for sample in kept):
        raise UsageError(f"without {', '.join(names)} no attack is left to train on; leave out fewer")
    return kept, [sample for sample in samples if sample in gone]
