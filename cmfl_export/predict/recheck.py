"""recheck(case) -> for each input of a case: the same bytes, and the same score on this machine?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from ..base.errors import InputError, ModelError, UsageError, need
from ..base.options import DetectorOptions, ProviderName
from ..base.progress import bar
from ..base.text import counted
from ..detector import Detector
from ..runtime import SCORE_OUTPUTS, TOLERANCES, Prediction
from .case_file import fingerprint
from .case_reader import CaseFile, open_case_file
from .rows import row_of

# The options that change a score or a decision; the others are how fast it comes.
_OPTIONS = (
    *("threshold", "aligned", "minimum_face", "minimum_resolution", "face_scale", "max_pixels"),
    "stability",
)
_AT_ONCE = 256  # inputs whose rows are in memory
_MOST_LISTED = 100  # findings that are shown


class Outcome(StrEnum):
    """What a recheck finds of one input."""

    SAME = "same"
    OTHER_BYTES = "other bytes"
    MISSING = "missing"
    OTHER_SCORE = "other score"
    OTHER_DECISION = "other decision"
    OTHER_ROWS = "other rows"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one input; `difference` is the largest of a score, None where none was compared."""

    path: str
    outcome: Outcome
    difference: float | None = None

    def line(self) -> str:
        """The finding as text."""
        by = "" if not self.difference else f", largest difference of a score {self.difference:.2e}"
        return f"{self.path}: {self.outcome.value}{by}"


@dataclass
class RecheckSummary:
    """The result of a recheck.

    Attributes:
        case, digest, created: the case, the SHA-256 of its manifest, and when it says that it was written.
        provider: where the model ran this time; and `first_provider`, where it ran for the case.
        tolerance: the largest difference of a score that counts as the same.
        n: inputs of the case.
        outcomes: how many inputs had which outcome.
        largest: the largest difference of a score.
        findings: the first inputs that are not the same.
    """

    case: Path
    digest: str
    created: str
    provider: str
    first_provider: str
    tolerance: float
    n: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    largest: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every input has the same bytes and the same rows."""
        return set(self.outcomes) <= {Outcome.SAME}

    def count(self, finding: Finding) -> None:
        """Counts one more input."""
        self.n += 1
        self.outcomes[finding.outcome] = self.outcomes.get(finding.outcome, 0) + 1
        self.largest = max(self.largest, finding.difference or 0.0)
        if finding.outcome is not Outcome.SAME and len(self.findings) < _MOST_LISTED:
            self.findings.append(finding)

    def lines(self) -> list[str]:
        """The result as text: the inputs that differ, then the sums."""
        found = ", ".join(f"{number} {outcome.value}" for outcome, number in sorted(self.outcomes.items()))
        hidden = self.n - self.outcomes.get(Outcome.SAME, 0) - len(self.findings)
        return [
            *(finding.line() for finding in self.findings),
            *([f"and {hidden} more"] if hidden else []),
            f"{counted(self.n, 'input')}: {found or 'none'}",
            f"largest difference of a score {self.largest:.2e}, tolerance {self.tolerance:g}; scored on "
            f"{self.first_provider} then, on {self.provider} now",
            f"case of {self.created}, SHA-256 of its manifest {self.digest}",
        ]


def recheck(
    case: str | Path,
    model: str | Path | None = None,
    *,
    inputs: str | Path | None = None,
    digest: str = "",
    tolerance: float | None = None,
    provider: ProviderName = "auto",
    threads: int | None = None,
    progress: bool | None = None,
) -> RecheckSummary:
    """Checks a case file: that nothing in it was changed, and that its scores come out again.

    Args:
        case: the file that `predict_to(case=...)` wrote.
        model: the model of the case: its file, or its name in the zoo. None tries the name in the case's card
            as a name of the zoo.
        inputs: a folder with the inputs; None takes their paths as they are in the case. In the folder an
            input is looked for under its path from the case, and else under its name alone.
        digest: the digest that was noted when the case was made; "" compares none.
        tolerance: largest difference of a score; None takes that of the model's precision.
        provider, threads: see `DetectorOptions`; all other options are those of the case.
        progress: whether to show a progress bar on standard error; None shows it on a terminal.

    Raises:
        InputError: the case cannot be read, was changed, or has another digest.
        ModelError: the model is not the one of the case.
        UsageError: the tolerance is below 0.
    """
    if tolerance is not None and not tolerance >= 0:
        raise UsageError(f"the tolerance must be at least 0, not {tolerance}")
    with open_case_file(Path(case)) as opened:
        if digest and digest.strip().lower() != opened.digest:
            raise InputError(f"{case}: the SHA-256 of its manifest is {opened.digest}, not the one you gave")
        detector = _detector(opened, model, provider, threads)
        summary = RecheckSummary(
            opened.path,
            opened.digest,
            opened.created,
            detector.provider,
            str(opened.setup.get("provider")),
            TOLERANCES[detector.card.precision] if tolerance is None else tolerance,
        )
        folder = None if inputs is None else Path(inputs)
        total = sum(1 for _ in opened.inputs())
        with bar(lambda: total, shown=progress) as advance:
            for finding in _findings(opened, detector, folder, summary.tolerance):
                summary.count(finding)
                advance(0)
    return summary


def _detector(
    case: CaseFile, model: str | Path | None, provider: ProviderName, threads: int | None
) -> Detector:
    stored, options = case.setup.get("model"), case.setup.get("options")
    if not isinstance(stored, dict) or not isinstance(options, dict):
        raise InputError(f"{case.path}: it does not say which model and options it comes from")
    try:
        # What "auto" came to, not what it comes to here.
        align = case.setup["align"]
        settings = DetectorOptions(**{name: options[name] for name in _OPTIONS}, align=align)
    except (KeyError, TypeError, UsageError) as error:
        raise InputError(f"{case.path}: its options cannot be used ({error})") from error
    threshold = case.setup.get("threshold")
    if not isinstance(threshold, float | int) or isinstance(threshold, bool):
        raise InputError(f"{case.path}: its threshold is no number")
    # A band comes from the card of the model, which is the same; a threshold would take its place.
    given = None if case.setup.get("band") else float(threshold)
    settings = replace(settings, provider=provider, threads=threads, threshold=given)
    name = _name_in_zoo(stored) if model is None else model
    detector = Detector(name, settings)
    if detector.align != align:
        raise need("faces", "rechecking this case, whose faces were found and aligned,")
    if detector.sha256 != stored.get("sha256"):
        raise ModelError(
            f"{detector.path} is not the model of {case.path}, whose SHA-256 is {stored.get('sha256')}; give "
            "that file: cmfl recheck CASE MODEL"
        )
    return detector


def _name_in_zoo(stored: dict[str, Any]) -> str:
    name, precision = str(stored.get("name")), str(stored.get("precision"))
    return name if precision == "fp32" else f"{name}:{precision}"


def _findings(case: CaseFile, detector: Detector, folder: Path | None, tolerance: float) -> Iterator[Finding]:
    rows = _by_input(_rows_in(case))
    inputs = case.inputs()
    while some := list(islice(inputs, _AT_ONCE)):
        before = [next(rows, []) for _ in some]
        places = [_place(str(entry.get("path")), folder) for entry in some]
        now = [fingerprint(place) for place in places]
        same = [_same_bytes(old, new) for old, new in zip(some, now, strict=True)]
        # Those that cannot be read any more have no bytes to score.
        unchanged = [place for place, one in zip(places, same, strict=True) if one]
        again = _by_input(detector.stream(unchanged))
        for entry, old, new, is_same in zip(some, before, now, same, strict=True):
            path = str(entry.get("path"))
            if is_same:
                yield _compared(path, old, next(again), tolerance)
            else:
                yield Finding(path, Outcome.OTHER_BYTES if "sha256" in new else Outcome.MISSING)


def _same_bytes(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether an input is what it was; one that could not be read then has no digest to compare."""
    return all(old.get(name) == new.get(name) for name in ("sha256", "status"))


def _place(path: str, folder: Path | None) -> str:
    """Where an input is now."""
    if folder is None:
        return path
    relative = PurePath(path)
    parts = [part for part in relative.parts if part not in (relative.anchor, "..")]
    whole = folder.joinpath(*parts)
    return str(whole if whole.is_file() else folder / relative.name)


def _rows_in(case: CaseFile) -> Iterator[Prediction]:
    for record in case.rows():
        try:
            yield row_of(record)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{case.path}: a row cannot be read ({error})") from error


def _by_input(rows: Iterable[Prediction]) -> Iterator[list[Prediction]]:
    """Yields the rows of each input; with faces, one per face."""
    group: list[Prediction] = []
    for row in rows:
        group.append(row)
        if row.is_last:
            yield group
            group = []


def _compared(path: str, old: list[Prediction], new: list[Prediction], tolerance: float) -> Finding:
    """Compares the rows of one input, whose bytes are the same."""
    if [(row.face, row.status) for row in old] != [(row.face, row.status) for row in new]:
        return Finding(path, Outcome.OTHER_ROWS)
    differences = [
        abs(before - after)
        for one, other in zip(old, new, strict=True)
        for before, after in ((getattr(one, name), getattr(other, name)) for name in SCORE_OUTPUTS)
        if before is not None and after is not None
    ]
    largest = max(differences, default=None)
    if largest is not None and largest > tolerance:
        return Finding(path, Outcome.OTHER_SCORE, largest)
    if [row.decision for row in old] != [row.decision for row in new]:
        return Finding(path, Outcome.OTHER_DECISION, largest)
    return Finding(path, Outcome.SAME, largest)
