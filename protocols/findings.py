"""The findings of the check of a protocol, one class per kind."""

from __future__ import annotations

from dataclasses import dataclass

from .schema import Sample

# A split is unbalanced if one class is this many times larger than the other.
_UNBALANCED = 1.5


@dataclass(frozen=True, slots=True)
class Use:
    """A row, and the split that it is in."""

    split: str
    sample: Sample

    def __str__(self) -> str:
        return f"{self.split}: {self.sample.filename} ({self.sample.attack_type or 'real'})"


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """The number of real images and of each attack type in a split."""

    split: str
    real: int
    attacks: dict[str, int]

    @property
    def synthetic(self) -> int:
        return sum(self.attacks.values())

    @property
    def lacks_class(self) -> bool:
        return self.real == 0 or self.synthetic == 0

    @property
    def unbalanced(self) -> bool:
        small, large = sorted((self.real, self.synthetic))
        return 0 < small * _UNBALANCED < large


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be used."""

    split: str
    filename: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """A subject in more than one split."""

    subject: str
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Files with the same picture; `correlation` is the lowest of their pairs, 1 for identical bytes."""

    uses: tuple[Use, ...]
    identical: bool
    mirrored: bool
    correlation: float

    @property
    def across_splits(self) -> bool:
        return len({use.split for use in self.uses}) > 1

    @property
    def across_classes(self) -> bool:
        return len({use.sample.is_real for use in self.uses}) > 1

    @property
    def leaks(self) -> bool:
        """Whether the picture is in two splits or in both classes."""
        return self.across_splits or self.across_classes

    @property
    def how(self) -> str:
        """How alike the files are, in words."""
        if self.identical:
            return "identical files"
        return f"near-identical{', mirrored' if self.mirrored else ''} ({self.correlation:.2f})"
