"""Inspects many files and writes one row per file (`cmfl inspect`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..base.csv_lines import csv_record
from ..base.errors import InputError
from ..base.files import check_ending, whole_file
from ..base.locks import exclusive
from ..base.text import counted, failures
from ..base.text_formats import read_bytes
from ..base.threads import in_order
from ..images import ImageError, Status, file_bytes, iter_paths, refuse_inputs
from .c2pa_manifest import C2paState, check_anchors
from .inspection import Provenance, inspect
from .source_types import TERMS

COLUMNS = (
    *("path", "source_type", "generator", "c2pa_state", "signer", "camera", "software", "edits", "encoder"),
    *("colour_profile", "status", "error"),
)
_MOST_ANCHOR_BYTES = 4 << 20
_SHOWN = 160  # characters of a text on a terminal


@dataclass(frozen=True, slots=True)
class Inspected:
    """One file, and what it says; `status` and `error` say why it could not be read."""

    path: str
    provenance: Provenance = field(default_factory=Provenance)
    status: Status = Status.OK
    error: str = ""

    def record(self) -> dict[str, str | None]:
        """The values by column; a file that could not be read has but `path`, `status` and `error`."""
        found = self.provenance
        said: dict[str, str | None] = {
            "source_type": found.source_type,
            "generator": found.generator,
            "c2pa_state": found.c2pa_state.value,
            "signer": found.signer,
            "camera": found.camera,
            "software": found.software,
            "edits": "; ".join(found.edits),
            "encoder": found.encoder,
            "colour_profile": found.colour_profile,
        }
        if self.status is not Status.OK:
            said = dict.fromkeys(said)
        return {"path": self.path, **said, "status": self.status.value, "error": self.error}

    def csv_line(self) -> bytes:
        """The row in a csv file."""
        return csv_record(list(self.record().values()))

    def jsonl_line(self) -> bytes:
        """The row in a jsonl file, which has the texts in full."""
        evidence = [asdict(statement) for statement in self.provenance.evidence]
        return f"{json.dumps(self.record() | {'evidence': evidence})}\n".encode("ascii")

    def lines(self) -> list[str]:
        """What the file says, as text: its path, and one line per thing that it says."""
        if self.status is not Status.OK:
            return [self.path, f"  not read: {self.error} ({self.status.value})"]
        found = self.provenance
        kind = f"{found.source_type}: {TERMS[found.source_type]}" if found.source_type else ""
        state = "" if found.c2pa_state is C2paState.ABSENT else _of_state(found)
        said = {
            "source type": kind,
            "generator": found.generator,
            "C2PA": state,
            "camera": found.camera,
            "software": found.software,
            "edits": ", ".join(found.edits),
            "JPEG tables": found.encoder,
            "colours": found.colour_profile,
        }
        lines = [f"  {name:<12} {_short(text)}" for name, text in said.items() if text]
        lines += [f"  {one.where:<12} {one.field}: {_short(one.text)}" for one in found.evidence]
        return [self.path, *(lines or ["  says nothing"])]


def _of_state(found: Provenance) -> str:
    by = f", signed by {found.signer}" if found.signer else ""
    return {
        C2paState.VALID: f"valid{by}",
        C2paState.UNTRUSTED: f"untrusted{by}: no trust anchor vouches for the signer",
        C2paState.INVALID: "invalid: what it says of this file does not count",
        C2paState.UNREAD: "unread: install cmfl-export[provenance]",
    }[found.c2pa_state]


@dataclass
class InspectSummary:
    """The result of a run.

    Attributes:
        n: files.
        synthetic: files that name a generator or state a source type of a trained model.
        silent: files that say nothing about their source.
        unread: files with a manifest that was not read, for lack of a package.
        failed: files that could not be read, by status.
        output: the file that was written, else "".
    """

    n: int = 0
    synthetic: int = 0
    silent: int = 0
    unread: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    output: str = ""

    def count(self, row: Inspected) -> None:
        """Counts one more file."""
        self.n += 1
        found = row.provenance
        if row.status is not Status.OK:
            self.failed[row.status.value] += 1
            return
        if found.generator or "rainedAlgorithmicMedia" in found.source_type:
            self.synthetic += 1
        elif not (found.source_type or found.camera or found.c2pa_state is not C2paState.ABSENT):
            self.silent += 1
        self.unread += found.c2pa_state is C2paState.UNREAD

    def lines(self) -> list[str]:
        """The result as text."""
        failed = failures(self.failed, "failed")
        lines = [
            f"{counted(self.n, 'file')}: {self.synthetic} made or edited by a trained model by their own "
            f"account, {self.silent} without a word, {failed}"
        ]
        if self.silent:
            lines.append("a file without a word is no sign of a real picture: most services remove all of it")
        if self.unread:
            manifests = counted(self.unread, "manifest")
            lines.append(f"{manifests} not read; pip install 'cmfl-export[provenance]'")
        if self.output:
            lines.append(f"rows in {self.output}")
        return lines


def inspect_files(
    inputs: Sequence[str],
    *,
    trust_anchors: str | Path | None = None,
    recursive: bool = True,
    null_separated: bool = False,
    workers: int | None = None,
) -> Iterator[Inspected]:
    """Yields one row per input, in order; see `inspect`.

    Args:
        inputs, recursive, null_separated: see `cmfl_export.images.iter_paths`.
        trust_anchors: a file of certificates in PEM.
        workers: threads; None means one per core.

    Raises:
        InputError: no input, or the trust anchors cannot be read.
        UsageError: the trust anchors are no certificates.
    """
    found = False
    paths = iter_paths(inputs, recursive=recursive, null_separated=null_separated)
    for row in inspect_paths(paths, read_anchors(trust_anchors), workers=workers):
        found = True
        yield row
    if not found:
        raise InputError(f"no images found in {', '.join(inputs) or 'an empty list of inputs'}")


def inspect_paths(
    paths: Iterable[str], anchors: str = "", *, workers: int | None = None
) -> Iterator[Inspected]:
    """Yields one row per path, in order; the paths are read a little ahead.

    Args:
        paths: as `cmfl_export.images.iter_paths` gives them.
        anchors: certificates in PEM, see `read_anchors`.
        workers: threads; None means one per core.
    """

    def row_of(path: str) -> Inspected:
        try:
            return Inspected(path, inspect(file_bytes(path), trust_anchors=anchors))
        except ImageError as error:
            return Inspected(path, status=error.status, error=error.message)

    return in_order(row_of, paths, workers, name="inspect")


def read_anchors(file: str | Path | None) -> str:
    """Returns the certificates of a file of trust anchors, "" for None.

    Raises:
        InputError: the file cannot be read.
        UsageError: it has no certificates.
    """
    if file is None:
        return ""
    anchors = read_bytes(Path(file), _MOST_ANCHOR_BYTES, "the file of trust anchors").decode(
        "ascii", "replace"
    )
    check_anchors(anchors)
    return anchors


def write_rows(rows: Iterable[Inspected], output: str | Path, inputs: Sequence[str] = ()) -> InspectSummary:
    """Writes rows to a csv or jsonl file, whole or not at all. In jsonl they also have `evidence`, in full.

    Args:
        inputs: what the rows come from, which the output must not be.

    Raises:
        UsageError: the output cannot be written, has another ending, or is an input.
    """
    output = Path(output)
    check_ending(output, (".csv", ".jsonl"), "the output")
    refuse_inputs([output], inputs)
    summary = InspectSummary(output=str(output))
    is_csv = output.suffix.lower() == ".csv"
    with exclusive(output), whole_file(output) as part, part.open("wb") as stream:
        if is_csv:
            stream.write(csv_record(COLUMNS))
        for row in rows:
            summary.count(row)
            stream.write(row.csv_line() if is_csv else row.jsonl_line())
    return summary


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
