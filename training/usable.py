"""Which files of a split can be used, before anything is computed from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cmfl_export.base.errors import ProtocolError
from protocols import Sample, describe_missing, missing_files

from .photographs import Open

log = logging.getLogger("cmfl.train")


def usable(
    samples: Sequence[Sample], data_root: str, split: str, skip_missing: bool, open: Open | None
) -> list[Sample]:
    """The samples whose files can be read: all of them, or an error that names the others.

    `open` is tried on each; without it the files only have to be there.
    """
    missing = missing_files(samples, data_root, decode=open)
    if not missing:
        return list(samples)
    text = f"{split}: {describe_missing(missing, len(samples), data_root)}"
    if not skip_missing:
        raise ProtocolError(f"{text}; repair them, or give --skip-missing to train without them")
    log.warning("%s; going on without them", text)
    gone = {sample for sample, _ in missing}
    kept = [sample for sample in samples if sample not in gone]
    gone_classes = {sample.is_real for sample in samples} - {sample.is_real for sample in kept}
    if gone_classes:
        gone_class = "real" if True in gone_classes else "synthetic"
        raise ProtocolError(f"{split}: no {gone_class} images are left in {data_root}")
    return kept
