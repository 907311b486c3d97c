"""faces.csv: one row per face that `cmfl align` found, and per input without a face."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..base import setups
from ..base.csv_lines import csv_fields, csv_record, whole_records, wrong_width
from ..base.errors import InputError
from ..base.files import writing
from ..base.row_files import send, whole_part
from ..base.setups import Setup
from ..images import Status

COLUMNS = (
    *("path", "face", "faces", "left", "top", "right", "bottom"),
    *("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y"),
    *("left_mouth_x", "left_mouth_y", "right_mouth_x", "right_mouth_y"),
    *("confidence", "padding", "crop", "status", "error"),
)


@dataclass(frozen=True, slots=True)
class FaceRow:
    """One row of faces.csv. Positions are in pixels of the upright picture, from its top left corner.

    Attributes:
        path: the input.
        face, faces: the number of this face, 0 for the largest, and the number of faces with rows.
        box: left, top, right, bottom.
        landmarks: x and y of eyes, nose and corners of the mouth; "left" means left in the picture.
        confidence: confidence of the detection, 0..1.
        padding: share of the crop that lies outside the picture, 0..1.
        crop: the file, relative to the folder of faces.csv, with forward slashes.
        status, error: as in `Prediction`; a row without a face has only these and its path.
    """

    path: str
    face: int | None = None
    faces: int | None = None
    box: tuple[float, ...] | None = None
    landmarks: tuple[float, ...] | None = None
    confidence: float | None = None
    padding: float | None = None
    crop: str = ""
    status: Status = Status.OK
    error: str = ""

    @property
    def is_last(self) -> bool:
        """Whether this is the last row of its input."""
        return self.face is None or self.faces is None or self.face + 1 >= self.faces

    def values(self) -> tuple[object, ...]:
        """The values in the order of COLUMNS."""
        places = (*(self.box or (None,) * 4), *(self.landmarks or (None,) * 10))
        found = (self.confidence, self.padding, self.crop)
        return (self.path, self.face, self.faces, *places, *found, self.status.value, self.error)

    @classmethod
    def of(cls, texts: Sequence[str]) -> FaceRow:
        """Reads a row from the texts of its `values`.

        Raises:
            ValueError: the texts are not such a row.
        """
        if len(texts) != len(COLUMNS):
            raise ValueError(wrong_width(texts, len(COLUMNS)))
        path, face, faces, *places, confidence, padding, crop, status, error = texts
        if not face:
            return cls(path, status=Status(status), error=error)
        numbers = tuple(map(float, places))
        shares = float(confidence), float(padding)
        # Written so that a NaN fails.
        if not all(map(math.isfinite, numbers)) or not all(0 <= share <= 1 for share in shares):
            raise ValueError("a position is not finite, or confidence or padding is not within 0 and 1")
        if not 0 <= int(face) < int(faces):
            raise ValueError(f"face {face} of {faces}")
        return cls(
            *(path, int(face), int(faces), numbers[:4], numbers[4:], *shares),
            *(crop, Status(status), error),
        )


class FaceRows:
    """A faces.csv that grows by one picture at a time. `done` holds the rows of a resumed file."""

    def __init__(self, stream: BinaryIO, path: Path, done: Sequence[FaceRow], setup: Setup | None) -> None:
        self.done = done
        self._stream = stream
        self._path = path
        # Written together with the first row.
        self._setup = None if done else setup

    def write(self, rows: Sequence[FaceRow]) -> None:
        """Writes all rows of one picture and flushes them to the operating system.

        Raises:
            UsageError: the file cannot be written.
        """
        if rows and self._setup is not None:
            setups.keep(self._path, self._setup, csv_record(rows[0].values()))
            self._setup = None
        with writing(self._path):
            send(self._stream, b"".join(csv_record(row.values()) for row in rows))

    def begin(self) -> None:
        """Writes the header."""
        with writing(self._path):
            send(self._stream, csv_record(COLUMNS))


@contextmanager
def open_faces(path: Path, *, resume: bool = False, setup: Setup | None = None) -> Iterator[FaceRows]:
    """Opens a faces.csv for writing.

    Args:
        path: the file; nobody else may be writing it.
        resume: continue an existing file, without the rows of a picture that a kill cut short.
        setup: the set-up of the rows, see `setups`; a resumed file must have the same.

    Raises:
        InputError: the file exists without `resume`, or is not a faces.csv.
        UsageError: the file cannot be written, or comes from another set-up.
    """
    done: list[FaceRow] = []
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not resume:
            raise InputError(f"{path} exists; continue it with --resume, or name another folder")
        # Unbuffered: after a full disk, closing a buffer would fail once more.
        stream = path.open("a+b", buffering=0)
    with stream:
        with writing(path), path.open("rb") as written:
            end = whole_part(written, path, _whole_rows(written, path), done.append, setup)
            stream.truncate(end)
            if not done:
                setups.forget(path)
        rows = FaceRows(stream, path, done, setup)
        if not end:
            rows.begin()
        yield rows


def read_faces(path: Path) -> list[FaceRow]:
    """Reads a faces.csv, without a last row that a kill cut short.

    Raises:
        InputError: the file cannot be read or is not a faces.csv.
    """
    try:
        with path.open("rb") as stream:
            return [row for row, _ in _whole_rows(stream, path) if row is not None]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _whole_rows(stream: BinaryIO, path: Path) -> Iterator[tuple[FaceRow | None, int]]:
    """Yields each finished record as its row and the offset of its end; the header's row is None."""
    stream.seek(0)
    header = csv_record(COLUMNS)
    line = 1
    try:
        if not header.startswith(stream.read(len(header))):
            raise ValueError("it has another header")
        stream.seek(0)
        for record, end in whole_records(stream, "csv"):
            yield (None if record == header else FaceRow.of(csv_fields(record))), end
            line += record.count(b"\n")
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{path} is not a faces.csv of cmfl align (line {line}: {error}); name another folder"
        ) from error
