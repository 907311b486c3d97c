"""Who goes where, by hash: the same subject to the same split on every machine and in every order."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from cmfl_export.base.errors import UsageError

from .schema import Sample

SPLITS = ("train", "dev", "eval")
SALT = "cmfl"  # what the hash begins with unless told otherwise


def place(text: str, salt: str) -> float:
    """Where a text falls in [0, 1): uniform, and known from the text and the salt alone.

    The first 53 bits of SHA-256 over salt, a zero byte and text. Texts that only differ in how Unicode
    composes their letters (file systems rewrite that) fall on the same place.
    """
    data = unicodedata.normalize("NFC", f"{salt}\0{text}").encode("utf-8", "surrogateescape")
    return (int.from_bytes(hashlib.sha256(data).digest()[:8]) >> 11) / 2**53


def split_of(subject: str, shares: Sequence[float], salt: str) -> str:
    """The split of a subject: the first whose shares, added up from train on, exceed its place."""
    where = place(subject, salt)
    if where < shares[0]:
        return "train"
    return "dev" if where < shares[0] + shares[1] else "eval"


def check_shares(shares: Sequence[float]) -> None:
    """Raises:
    CmflError: not three positive numbers that add up to 1.
    """
    if len(shares) != 3 or not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1):
        given = "/".join(f"{share:g}" for share in shares)
        raise UsageError(
            f"the shares {given} must be three numbers above 0 that add up to 1 (train/dev/eval)"
        )


def by_place(names: Iterable[str], salt: str) -> list[str]:
    """File names in the order of their places: an order that knows no folder and no date.

    It is another one than that of the subjects' places, or a split would be cut at one of its ends.
    """
    return sorted(names, key=lambda name: (place(name, f"{salt}/order"), name))


def cut(samples: Sequence[Sample], count: int, salt: str) -> list[Sample]:
    """`count` of the samples, from each attack type as many as from the others, in order of file name.

    A type with fewer than that gives all it has, and the others share the rest. Within a type the hash
    chooses, so that one more image changes at most one other.
    """
    by_type: dict[str, dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        by_type[sample.attack_type][sample.filename] = sample
    kept: list[Sample] = []
    # From the smallest type on: what it lacks is left to those after it.
    types = sorted(by_type.items(), key=lambda item: (len(item[1]), item[0]))
    for index, (_, named) in enumerate(types):
        quota = (count - len(kept)) // (len(types) - index)
        kept.extend(named[name] for name in by_place(named, salt)[:quota])
    return sorted(kept, key=lambda sample: sample.filename)


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Real ones first, then by attack type and name."""
    return sorted(samples, key=lambda sample: (sample.attack_type, sample.filename))
