"""What a protocol is: rows that say which file is real and which synthetic, in three splits."""

from __future__ import annotations

from dataclasses import dataclass, field

COLUMNS = ("subject", "filename", "attack_type")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a split.

    `subject` is who is seen (for a synthetic face: which draw of the generator); `filename` is relative to
    the data root; `attack_type` is empty for a real (bona fide) image and else names the attack.
    """

    subject: str
    filename: str
    attack_type: str

    @property
    def is_real(self) -> bool:
        return not self.attack_type


@dataclass(frozen=True)
class Protocol:
    """The splits of one folder `name/{train,dev,eval}.csv`; `eval` is empty where there is no eval.csv."""

    name: str
    train: list[Sample]
    dev: list[Sample]
    eval: list[Sample] = field(default_factory=list)
