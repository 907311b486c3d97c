"""faces.csv: what `cmfl align` says of each face, and of each input without one."""

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
    """One row. Positions are in pixels of the picture, upright by its EXIF orientation, from its corner.

    Attributes:
        path: the input.
        face, faces: the number of the face, from 0 for the largest, of how many of this input have rows.
        box: left, top, right, bottom.
        landmarks: x and y of eyes, nose and corners of the mouth; left is left in the picture.
        confidence: of the detection, 0..1.
        padding: share of the crop that is not in the picture, 0..1.
        crop: the file, relative to the folder that faces.csv is in, with forward slashes.
        status, error: as in `Prediction`; a row without a face has nothing but these and its path.
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
        """Whether it is the last row of its input."""
        return self.face is None or self.faces is None or self.face + 1 >= self.faces

    def values(self) -> tuple[object, ...]:
        """In the order of COLUMNS."""
        places = (*(self.box or (None,) * 4), *(self.landmarks or (None,) * 10))
        found = (self.confidence, self.padding, self.crop)
        return (self.path, self.face, self.faces, *places, *found, self.status.value, self.error)

    @classmethod
    def of(cls, texts: Sequence[str]) -> FaceRow:
        """Reads back `values`. Raises ValueError on what is no such row."""
        if len(texts) != len(COLUMNS):
            raise ValueError(wrong_width(texts, len(COLUMNS)))
        path, face, faces, *places, confidence, padding, crop, status, error = texts
        if not face:
            return cls(path, status=Status(status), error=error)
        numbers = tuple(map(float, places))
        shares = float(confidence), float(padding)
        # Written so that a NaN fails.
        if not all(map(math.isfinite, numbers)) or not all(0 <= share <= 1 for share in shares):
            raise ValueError("a position is no finite number, or confidence or padding is not from 0 to 1")
        if not 0 <= int(face) < int(faces):
            raise ValueError(f"face {face} of {faces}")
        return cls(
            *(path, int(face), int(faces), numbers[:4], numbers[4:], *shares),
            *(crop, Status(status), error),
        )


class FaceRows:
    """A faces.csv that grows a picture at a time. `done` has the rows that a resumed one begins with."""

    def __init__(self, stream: BinaryIO, path: Path, done: Sequence[FaceRow], setup: Setup | None) -> None:
        self.done = done
        self._stream = stream
        self._path = path
        # To be kept as soon as there is a row.
        self._setup = None if done else setup

    def write(self, rows: Sequence[FaceRow]) -> None:
        """Writes all rows of one picture; the operating system then has them.

        Raises:
            CmflError: the file cannot be written.
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
    """Opens a faces.csv for writing; with `resume` goes on with it, without what a kill left unfinished.

    Args:
        path: the file; nobody else may be writing it.
        resume: go on with a file that is there.
        setup: what the rows come from, see `setups`; that of a resumed file must be the same.

    Raises:
        CmflError: the file exists and is not to be resumed, cannot be written, is no faces.csv, or comes from
            another set-up.
    """
    done: list[FaceRow] = []
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not resume:
            raise InputError(f"{path} exists; go on with it with --resume, or name another folder")
        # Without a buffer, which after a full disk would fail once more when it is closed.
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
    """Reads a faces.csv; a last row that a kill cut short is left out.

    Raises:
        CmflError: the file cannot be read, or is no faces.csv.
    """
    try:
        with path.open("rb") as stream:
            return [row for row, _ in _whole_rows(stream, path) if row is not None]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _whole_rows(stream: BinaryIO, path: Path) -> Iterator[tuple[FaceRow | None, int]]:
    """(row, offset of its end) of each finished record; the header is a record without a row."""
    stream.seek(0)
    header = csv_record(COLUMNS)
    line = 1
    try:
        if not header.startswith(stream.read(len(header))):
            raise ValueError("its header is another one")
        stream.seek(0)
        for record, end in whole_records(stream, "csv"):
            yield (None if record == header else FaceRow.of(csv_fields(record))), end
            line += record.count(b"\n")
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{path} is not a faces.csv of cmfl align (line {line}: {error}); name another folder"
        ) from error
