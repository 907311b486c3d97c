"""The data of a protocol: rows of real and synthetic files, in three splits."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

COLUMNS = ("subject", "filename", "attack_type")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a split.

    `subject` is the person in the image (for a synthetic face, the draw of the generator); `filename` is
    relative to the data root; `attack_type` is the name of the attack, empty for a real (bona fide) image.
    """

    subject: str
    filename: str
    attack_type: str

    @property
    def is_real(self) -> bool:
        return not self.attack_type

    @property
    def folder(self) -> str:
        """The folder of the file, relative to the data root; `.` is the root itself."""
        return posixpath.dirname(posixpath.normpath(self.filename)) or "."


@dataclass(frozen=True)
class Protocol:
    """The splits of one folder `name/{train,dev,eval}.csv`; `eval` is empty without an eval.csv."""

    name: str
    train: list[Sample]
    dev: list[Sample]
    eval: list[Sample] = field(default_factory=list)
