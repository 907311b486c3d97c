"""The case file: what a laboratory files with a finding, in one .zip with one digest over all of it.

    manifest.json   the format, the time in UTC, and size and SHA-256 of the other files
    inputs.jsonl    one line per input, in order: path, size, SHA-256
    rows.jsonl      the rows of `predict`
    card.json       the model's card
    setup.json      the model's SHA-256, the options, the provider, versions and the processor
    report.html     the page of `--report`

All JSON is canonical: keys in order, no blanks, ASCII. The digest of a case is the SHA-256 of its manifest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from ..base.files import check_ending, scratch_folder, sha256_of, whole_file, writing
from ..base.locks import exclusive
from ..base.versions import own_version
from ..detector import Detector
from ..images import ImageError, file_bytes
from ..runtime import COLUMNS, Prediction, columns_with, machine

FORMAT, SCHEMA = "cmfl-case", 1
MANIFEST, INPUTS, ROWS, CARD, SETUP, REPORT = (
    *("manifest.json", "inputs.jsonl", "rows.jsonl", "card.json", "setup.json", "report.html"),
)
# The one time stamp that every zip file can hold, so that the manifest alone says when.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def canonical(value: Any) -> bytes:
    """A value as canonical JSON; equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


@dataclass
class Case:
    """A case that is being written.

    Attributes:
        report: where the page of the run goes, for the case to take it up.
        digest: the SHA-256 of the manifest in hexadecimal; "" until the case is written.
    """

    report: Path
    digest: str = ""
    _folder: Path = Path()
    _rows: BinaryIO | None = None
    _inputs: BinaryIO | None = None
    _columns: tuple[str, ...] = COLUMNS

    def add(self, row: Prediction) -> None:
        """Takes a row, and with the last row of an input the digest of its bytes."""
        assert self._rows is not None
        assert self._inputs is not None
        self._rows.write(canonical(row.record(self._columns)) + b"\n")
        if row.is_last:
            self._inputs.write(canonical(fingerprint(row.path)) + b"\n")


def fingerprint(path: str) -> dict[str, Any]:
    """Path, size and SHA-256 of an input; of one that cannot be read the status instead."""
    try:
        data = file_bytes(path)
    except ImageError as error:
        return {"path": path, "status": error.status.value}
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@contextmanager
def open_case(path: Path, detector: Detector, groups: Sequence[str]) -> Iterator[Case]:
    """Gives a case for the rows of a run, and writes it at the end, whole or not at all.

    Rows and digests wait on the disk, so that a case of any length needs little memory. A run that is cut
    short has no case.

    Args:
        path: of the case.
        detector: what scores the rows.
        groups: of columns that the rows have.

    Raises:
        UsageError: the case cannot be written, or another process writes it.
    """
    check_ending(path, (".zip",), "the case")
    begun = _now()
    with exclusive(path), scratch_folder() as folder:
        with (folder / ROWS).open("wb") as rows, (folder / INPUTS).open("wb") as inputs:
            case = Case(folder / REPORT, "", folder, rows, inputs, columns_with(groups))
            yield case
        (folder / CARD).write_bytes(canonical(json.loads(detector.card.to_json())))
        (folder / SETUP).write_bytes(canonical(_setup(detector, begun)))
        case.digest = _write(path, folder)


def _setup(detector: Detector, begun: str) -> dict[str, Any]:
    return {
        "model": {
            "name": detector.card.name,
            "precision": detector.card.precision,
            "sha256": detector.sha256,
        },
        "threshold": detector.threshold,
        **({} if detector.band is None else {"band": detector.band}),
        "temperature": detector.card.temperature,
        "options": asdict(replace(detector.options, minimum_resolution=detector.minimum_resolution)),
        "aligned": detector.aligned,
        "align": detector.align,
        "provider": detector.provider,
        "machine": machine.describe(),
        "begun": begun,
    }


def _write(path: Path, folder: Path) -> str:
    """Writes the files of the folder and a manifest over them; returns the manifest's digest."""
    names = [name for name in (INPUTS, ROWS, CARD, SETUP, REPORT) if (folder / name).is_file()]
    manifest = canonical(
        {
            "format": FORMAT,
            "schema": SCHEMA,
            "version": own_version(),
            "created": _now(),
            "files": {
                name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
                for name in names
            },
        }
    )
    with (
        whole_file(path) as part,
        writing(path),
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive,
    ):
        archive.writestr(_entry(MANIFEST), manifest)
        for name in names:
            entry = archive.open(_entry(name), "w", force_zip64=True)
            with (folder / name).open("rb") as source, entry as target:
                shutil.copyfileobj(source, target, 1 << 20)
    return hashlib.sha256(manifest).hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
