"""The report of `check`: the findings, the verdict, and the text for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cmfl_export.base.tables import aligned
from cmfl_export.base.text import visible

from .findings import Duplicate, Overlap, Problem, SplitCounts, Use
from .shortcuts import SEVERITY, SMALLEST_CLASS, Level, Separation

_NAMED = 5
_WIDTH = 110


@dataclass(frozen=True)
class CheckReport:
    """The findings on a protocol.

    `shortcuts` has the worst first, and is empty without an audit; `audited` is the number of audited images.
    """

    protocol: str
    data_root: str
    splits: tuple[SplitCounts, ...]
    problems: tuple[Problem, ...]
    overlaps: tuple[Overlap, ...]
    duplicates: tuple[Duplicate, ...]
    shortcuts: tuple[Separation, ...]
    audited: int
    strict: bool

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(split.real + split.synthetic for split in self.splits)

    @property
    def failures(self) -> list[str]:
        """Why the protocol must not be used as it is; empty if it can be used."""
        across_splits = [one for one in self.duplicates if one.across_splits]
        others = [one for one in self.duplicates if one.across_classes and not one.across_splits]
        # An eval split of one class is useful for the error rate of that class.
        one_class = [split.split for split in self.splits if split.split != "eval" and split.lacks_class]
        found = []
        if self.problems:
            found.append(f"{_number(self.problems, 'file')} cannot be used")
        if one_class:
            found.append(f"only one class in {', '.join(one_class)}")
        if self.overlaps:
            found.append(f"leakage: {_number(self.overlaps, 'subject')} in two splits")
        if across_splits:
            found.append(f"leakage: {_number(across_splits, 'picture')} in two splits")
        if others:
            found.append(f"leakage: {_number(others, 'picture')} in both classes of a split")
        return found + self._at([Level.SHORTCUT, Level.SUSPICIOUS] if self.strict else [Level.SHORTCUT])

    @property
    def warnings(self) -> list[str]:
        """Findings to look into that do not fail the check."""
        within = [one for one in self.duplicates if not one.leaks]
        found = self._at([Level.WEAK] if self.strict else [Level.SUSPICIOUS, Level.WEAK])
        if within:
            found.append(f"{_number(within, 'picture')} more than once within a split and class")
        found += [f"{split.split} is unbalanced" for split in self.splits if split.unbalanced]
        audited = {one.split for one in self.shortcuts}
        unknown = [split.split for split in self.splits if split.split not in audited]
        if unknown and self.audited:
            found.append(f"not audited, fewer than {SMALLEST_CLASS} images of a class: {', '.join(unknown)}")
        return found

    @property
    def ok(self) -> bool:
        """Whether the protocol can be used."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Returns the whole report as JSON values."""
        verdict = {"ok": self.ok, "failures": self.failures, "warnings": self.warnings}
        return verdict | asdict(self)

    def lines(self) -> list[str]:
        """The report as text: sections with the worst findings first, and the verdict in the last line."""
        lines = [
            f"{self.protocol}: {self.images} images in {self.data_root}",
            *self._counts_lines(),
            "",
            *self._problem_lines(),
            *self._overlap_lines(),
            *self._duplicate_lines(),
            *self._shortcut_lines(),
            "",
            *(f"warning: {warning}" for warning in self.warnings),
            self._verdict(),
        ]
        return [visible(line) for line in lines]

    def _verdict(self) -> str:
        if self.failures:
            return f"NOT OK: {'; '.join(self.failures)}"
        suspicious = self._named(Level.SUSPICIOUS)
        if suspicious:
            return f"ok, but look into what is suspicious: {', '.join(suspicious)}"
        return "ok, with warnings" if self.warnings else "ok"

    def _at(self, levels: Sequence[Level]) -> list[str]:
        """Returns one line for each of these levels that some property has."""
        return [f"{level}: {', '.join(self._named(level))}" for level in levels if self._named(level)]

    def _named(self, level: Level) -> list[str]:
        """Returns the properties whose worst level is this."""
        return [worst.property for worst in self._worst() if worst.level is level]

    def _worst(self) -> list[Separation]:
        """Returns the worst result of each property."""
        worst: dict[str, Separation] = {}
        for result in self.shortcuts:
            worst.setdefault(result.property, result)
        return list(worst.values())

    def _counts_lines(self) -> Iterator[str]:
        rows = [
            [
                split.split,
                str(split.real),
                str(split.synthetic),
                ", ".join(f"{name} {count}" for name, count in split.attacks.items()),
            ]
            for split in self.splits
        ]
        yield from _indented([["split", "real", "synthetic", "attack types"], *rows], numbers=(1, 2))

    def _problem_lines(self) -> Iterator[str]:
        if not self.problems:
            yield "files       all there and readable"
            return
        yield f"files       {len(self.problems)} of {self.images} cannot be used"
        yield from _few([f"{one.split}: {one.filename} ({one.reason})" for one in self.problems])

    def _overlap_lines(self) -> Iterator[str]:
        if not self.overlaps:
            yield "subjects    none in two splits"
            return
        yield f"subjects    {len(self.overlaps)} in two splits"
        yield from _few([f"{one.subject} ({', '.join(one.splits)})" for one in self.overlaps])

    def _duplicate_lines(self) -> Iterator[str]:
        kinds = (
            ("in two splits", [one for one in self.duplicates if one.across_splits]),
            (
                "in both classes of a split",
                [one for one in self.duplicates if one.across_classes and not one.across_splits],
            ),
            ("within a split and class", [one for one in self.duplicates if not one.leaks]),
        )
        if not self.duplicates:
            yield "duplicates  none, identical or near-identical"
        for where, found in kinds:
            if found:
                yield f"duplicates  {_number(found, 'picture')} {where}"
                yield from _few([f"{one.how}: {_members(one.uses)}" for one in found])

    def _shortcut_lines(self) -> Iterator[str]:
        if not self.shortcuts:
            yield "shortcuts   not looked for"
            return
        yield (
            f"shortcuts   how well one property alone tells the classes apart, on {self.audited} images "
            "(AUC: 0.5 not at all, 1 perfectly; 99.9 % interval)"
        )
        worst = self._worst()
        separating = [one for one in worst if one.level is not Level.OK or one.auc != 0.5]
        rows = [["verdict", "property", "AUC", "interval", "worst in", "in the other splits"]]
        for one in separating:
            severe = SEVERITY[one.level] > SEVERITY[Level.WEAK]
            rows.append(
                [
                    one.level.upper() if severe else str(one.level),
                    one.property,
                    f"{one.auc:.3f}",
                    f"{one.low:.2f}-{one.high:.2f}",
                    one.split + (f", {one.attack_type}" if one.attack_type else ""),
                    self._elsewhere(one),
                ]
            )
        shown = rows if len(self.splits) > 1 else [row[:-1] for row in rows]
        yield from _indented(shown, numbers=(2,))
        silent = [one.property for one in worst if one not in separating]
        if silent:
            yield from _wrapped(f"say nothing (AUC 0.500): {', '.join(silent)}")
        to_do: dict[str, list[str]] = {}
        for one in worst:
            if one.level is not Level.OK:
                values = f" (real {one.real}, synthetic {one.synthetic})" if one.real else ""
                to_do.setdefault(one.advice, []).append(one.property + values)
        for advice, properties in to_do.items():
            yield from _wrapped(f"{', '.join(properties)}: {advice}")

    def _elsewhere(self, worst: Separation) -> str:
        """Returns the same property's highest AUC in each other split, as text."""
        highest = {
            split.split: max(
                (
                    one.auc
                    for one in self.shortcuts
                    if one.property == worst.property and one.split == split.split
                ),
                default=None,
            )
            for split in self.splits
            if split.split != worst.split
        }
        return ", ".join(f"{split} {auc:.3f}" for split, auc in highest.items() if auc is not None)


def _number(items: Sequence[object], name: str) -> str:
    return f"{len(items)} {name}{'' if len(items) == 1 else 's'}"


def _members(uses: Sequence[Use]) -> str:
    rest = len(uses) - 3
    return " = ".join(map(str, uses[:3])) + (f" and {rest} more" if rest > 0 else "")


def _few(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_NAMED])
    if len(lines) > _NAMED:
        yield f"  and {len(lines) - _NAMED} more"


def _indented(rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> Iterator[str]:
    yield from (f"  {line}" for line in aligned(rows, numbers=numbers))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
