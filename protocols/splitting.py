"""Assigns subjects to splits by hash: a subject has the same split on every machine and in every order."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from cmfl_export.base.errors import UsageError

from .schema import Sample

SPLITS = ("train", "dev", "eval")
SALT = "cmfl"  # the default beginning of the hashed text


def place(text: str, salt: str) -> float:
    """Returns a uniform number in [0, 1) that depends only on the text and the salt.

    It is the first 53 bits of SHA-256 over salt, a zero byte and text. Texts that differ only in the Unicode
    composition of their letters, which file systems change, give the same number.
    """
    data = unicodedata.normalize("NFC", f"{salt}\0{text}").encode("utf-8", "surrogateescape")
    return (int.from_bytes(hashlib.sha256(data).digest()[:8]) >> 11) / 2**53


def split_of(subject: str, shares: Sequence[float], salt: str) -> str:
    """Returns the split of a subject: the first whose shares, added up from train, exceed its place."""
    where = place(subject, salt)
    if where < shares[0]:
        return "train"
    return "dev" if where < shares[0] + shares[1] else "eval"


def check_shares(shares: Sequence[float]) -> None:
    """Refuses shares that are not three positive numbers with the sum 1.

    Raises:
        UsageError: they are not.
    """
    if len(shares) != 3 or not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1):
        given = "/".join(f"{share:g}" for share in shares)
        raise UsageError(
            f"the shares {given} must be three numbers above 0 that add up to 1 (train/dev/eval)"
        )


def by_place(names: Iterable[str], salt: str) -> list[str]:
    """Returns file names in the order of their places, which is independent of folders and dates.

    The salt differs from that of the subjects, or the order would follow the split's own range of places.
    """
    return sorted(names, key=lambda name: (place(name, f"{salt}/order"), name))


def cut(samples: Sequence[Sample], count: int, salt: str) -> list[Sample]:
    """Returns `count` of the samples, equally many of each attack type, in order of file name.

    A smaller type gives all of its samples, and the others share the rest. Within a type the hash chooses, so
    that an added image replaces at most one other.
    """
    by_type: dict[str, dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        by_type[sample.attack_type][sample.filename] = sample
    kept: list[Sample] = []
    # From the smallest type on, so that the larger ones fill up what it lacks.
    types = sorted(by_type.items(), key=lambda item: (len(item[1]), item[0]))
    for index, (_, named) in enumerate(types):
        quota = (count - len(kept)) // (len(types) - index)
        kept.extend(named[name] for name in by_place(named, salt)[:quota])
    return sorted(kept, key=lambda sample: sample.filename)


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Returns the samples in order: real ones first, then by attack type and name."""
    return sorted(samples, key=lambda sample: (sample.attack_type, sample.filename))
