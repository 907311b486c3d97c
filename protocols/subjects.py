"""Finds the subject of each file: from a pattern, a table, or the file name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from cmfl_export.base.csv_lines import RecordError, header_advice, numbered_records, text_of, wrong_width
from cmfl_export.base.errors import ProtocolError
from cmfl_export.base.text_formats import read_bytes

_MOST_TABLE_BYTES = 1 << 30


def subjects_of(
    filenames: Sequence[str], *, pattern: str | None = None, table: Path | None = None
) -> dict[str, str]:
    """Returns the subject of each file, by file name.

    Without pattern and table each file is its own subject: its name with the folder, without the extension.

    Args:
        filenames: relative to the data root, with `/`.
        pattern: a regular expression with one group, searched in the file name; the group is the subject.
        table: a CSV file with the columns `filename` and `subject`; other columns are ignored.

    Raises:
        ProtocolError: pattern and table are both given, one is faulty, or a file has no subject.
        InputError: the table cannot be read.
    """
    if pattern is not None and table is not None:
        raise ProtocolError("the subjects come from a pattern or from a table; give only one of them")
    if pattern is not None:
        found = _by_pattern(filenames, pattern)
        source = f"the subject pattern {pattern!r}"
    elif table is not None:
        found = _by_table(table)
        source = f"the subject table {table}"
    else:
        return {name: posixpath.splitext(name)[0].strip() or name.strip() for name in filenames}
    without = [name for name in filenames if not found.get(name)]
    if without:
        raise ProtocolError(
            f"{source} gives no subject to {len(without):,} of {len(filenames):,} files; the first is "
            f"{without[0]!r}"
        )
    return {name: found[name] for name in filenames}


def _by_pattern(filenames: Sequence[str], pattern: str) -> dict[str, str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ProtocolError(
            f"the subject pattern {pattern!r} is not a regular expression: {error}"
        ) from error
    if compiled.groups != 1:
        raise ProtocolError(
            f"the subject pattern {pattern!r} has {compiled.groups} groups; it needs one, around the "
            "subject, as in 'person([0-9]+)'"
        )
    matches = ((name, compiled.search(name)) for name in filenames)
    # A group that is not part of the match is None.
    return {name: (match[1] or "").strip() for name, match in matches if match}


def _by_table(table: Path) -> dict[str, str]:
    try:
        records = numbered_records(text_of(read_bytes(table, _MOST_TABLE_BYTES, "the subject table")))
        _, header = next(records, (1, []))
        if not {"filename", "subject"} <= set(header):
            advice = header_advice(header, ("filename", "subject"))
            raise ProtocolError(
                f"the subject table {table} needs the columns filename and subject"
                + (f": {advice}" if advice else "")
            )
        name_at, subject_at = header.index("filename"), header.index("subject")
        subjects: dict[str, str] = {}
        for line, record in records:
            if len(record) > len(header):
                raise RecordError(line, wrong_width(record, len(header)))
            # A row that is cut short has no subject, which is reported below.
            whole = record + [""] * (len(header) - len(record))
            name, subject = posixpath.normpath(whole[name_at]), whole[subject_at].strip()
            if subjects.setdefault(name, subject) != subject:
                raise RecordError(line, f"{name!r} has two subjects, {subjects[name]!r} and {subject!r}")
    except RecordError as error:
        raise ProtocolError(f"the subject table {table}, {error}") from error
    return subjects
