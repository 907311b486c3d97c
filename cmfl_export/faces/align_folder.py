"""Writes the faces of photographs as aligned crops into a folder: the work of `cmfl align`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..base.errors import CmflError, UsageError
from ..base.files import remove_parts, whole_file, writing
from ..base.locks import exclusive_folder
from ..base.progress import bar
from ..base.text import counted, failures
from ..base.threads import in_order
from ..images import DEFAULT_MAX_PIXELS, ImageError, Status, count_paths, iter_paths, open_rgb, root_of
from .aligner import AlignedFace, Aligner
from .crop import FACE_SCALE, MARKER
from .faces_csv import FaceRow, open_faces
from .find import MINIMUM

FACES = "faces.csv"
FORMATS = ("png", "jpg")
# In bytes. File systems allow 255, and a number and an ending follow the name.
_LONGEST_NAME = 240
# Lower qualities leave traces in the spectrum.
LOWEST_QUALITY = 95


@dataclass
class AlignSummary:
    """The results of a run.

    Attributes:
        out: the folder of the crops.
        provider: where the networks really ran.
        n: number of inputs.
        faces: number of crops written.
        failed: number of inputs without a crop, by status.
        skipped: number of inputs that already had rows (resume).
        seconds: duration without loading the networks.
    """

    out: Path
    provider: str
    n: int = 0
    faces: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    seconds: float = 0.0

    def count(self, rows: Sequence[FaceRow]) -> None:
        """Counts the rows of one more input."""
        self.n += 1
        for row in rows:
            if row.status is Status.OK:
                self.faces += 1
            else:
                self.failed[row.status.value] += 1

    def lines(self) -> list[str]:
        """The summary as text."""
        failed = failures(self.failed, "without a face")
        lines = [f"{counted(self.n, 'image')}: {counted(self.faces, 'face')}, {failed}"]
        if self.skipped:
            lines.append(f"{self.skipped} skipped: they have their rows already")
        rate = self.n / self.seconds if self.seconds else 0.0
        lines.append(f"{self.seconds:.1f} s, {rate:.1f} images/s on {self.provider}")
        lines.append(f"crops and {FACES} in {self.out}")
        return lines


def align_to(
    inputs: Sequence[str],
    out: str | Path,
    *,
    largest: bool = False,
    format: str = "png",
    quality: int = LOWEST_QUALITY,
    face_scale: float = FACE_SCALE,
    minimum: int = MINIMUM,
    recursive: bool = True,
    null_separated: bool = False,
    provider: str = "auto",
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    resume: bool = False,
    progress: bool | None = None,
) -> AlignSummary:
    """Writes the aligned faces of every input into a folder, with a faces.csv that describes them.

    The crops of `photos/a/b.jpg`, found in the input `photos`, are `a/b-0.png` for its largest face,
    `a/b-1.png` for the next, and so on. If two inputs would have the same crop, the later one gets
    `a/b~2-0.png`. faces.csv has one row per face, and one row per input without a face, in order. The rows
    of an input are written after its crops, so that after an interrupt or a kill every crop in it exists.
    Files in `out` are no inputs.

    Args:
        inputs, recursive, null_separated: see `iter_paths`.
        out: the folder; made if missing.
        largest, face_scale, minimum, provider: see `Aligner`.
        format: "png", or "jpg" of the given quality without chroma subsampling.
        quality: quality of JPEG, 95 to 100.
        workers: threads that decode, search and write; None means one per core.
        max_pixels: pictures with more pixels get the status `too_large`.
        resume: continue an existing faces.csv; inputs that have rows are skipped.
        progress: whether to show a progress bar on standard error; None means only on a terminal.

    Raises:
        UsageError: there is no input, an option is out of its range, the rows to resume come from other
            options, a file cannot be written, or another process is writing to the folder.
        InputError: a faces.csv exists without `resume`, or is not such a file.
        PackageError: the package with the networks is missing.
        ProviderError: the networks do not load here, or failed to run.
    """
    out = Path(out)
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}; choose one of: {', '.join(FORMATS)}")
    if not LOWEST_QUALITY <= quality <= 100:
        raise UsageError(f"the quality must be within {LOWEST_QUALITY} and 100, not {quality}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    aligner = Aligner(largest=largest, face_scale=face_scale, minimum=minimum, provider=provider)
    inside: list[str] = []
    paths = _outside(out, _rooted(inputs, recursive, null_separated), inside)
    first = next(paths, None)
    if first is None and inside:
        raise UsageError(
            f"all images of {', '.join(inputs)} are in {out}, the folder for the crops, which is not "
            "searched; name another folder with -o"
        )
    if first is None:
        raise UsageError(f"no images found in {', '.join(inputs) or 'an empty list of inputs'}")

    def rows_of(path: str, stem: str) -> list[FaceRow]:
        try:
            faces = aligner(open_rgb(path, max_pixels=max_pixels))
        except ImageError as error:
            return [FaceRow(path, status=error.status, error=error.message)]
        except CmflError:
            raise
        except Exception as error:  # an unexpected error in one picture must not end a run over a million
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return [FaceRow(path, status=Status.UNREADABLE, error=text)]
        return [_written(path, face, f"{stem}-{face.number}.{format}") for face in faces]

    def _written(path: str, face: AlignedFace, name: str) -> FaceRow:
        _save(face.crop.image, out / name, quality, f"scale {face_scale:g}")
        landmarks = tuple(round(value, 1) for value in face.face.landmarks.ravel().tolist())
        confidence, padding = round(face.face.confidence, 4), round(face.crop.padding, 4)
        return FaceRow(path, face.number, face.of, face.box, landmarks, confidence, padding, name)

    setup = {
        "faces": "largest" if largest else "all",
        "format": format,
        "quality": quality if format == "jpg" else None,
        "face scale": face_scale,
        "smallest face": minimum,
        "max pixels": max_pixels,
    }
    summary = AlignSummary(out, aligner.provider)
    start = time.perf_counter()
    with (
        exclusive_folder(out),
        open_faces(out / FACES, resume=resume, setup=setup) as table,
        bar(lambda: count_paths(inputs, recursive=recursive), shown=progress) as advance,
    ):
        if resume:
            remove_parts(out, [f".{ending}" for ending in FORMATS])
        names = _Names((row.path, row.crop) for row in table.done if row.crop)
        done = Counter(row.path for row in table.done if row.is_last)

        def remaining() -> Iterator[tuple[str, str]]:
            for path, relative in (first, *paths):
                if done[path]:
                    done[path] -= 1
                    summary.skipped += 1
                else:
                    # As text alone: a path may hold the bytes of its picture.
                    yield path, names.stem(str(path), relative)

        for rows in in_order(lambda item: rows_of(*item), remaining(), workers, name="align"):
            table.write(rows)
            summary.count(rows)
            advance(summary.skipped)
    summary.seconds = time.perf_counter() - start
    return summary


class _Names:
    """Gives each input a unique name in the folder."""

    def __init__(self, crops: Iterable[tuple[str, str]]) -> None:
        """Begins with the names of existing crops.

        Args:
            crops: path and crop of the rows that exist already.
        """
        self._owner = {crop.rpartition("-")[0].casefold(): path for path, crop in crops}

    def stem(self, path: str, relative: PurePath) -> str:
        name = relative.stem
        while len(os.fsencode(name)) > _LONGEST_NAME:
            name = name[:-1]
        plain = stem = relative.with_name(name).as_posix()
        number = 1
        # Upper and lower case count as the same, as on some file systems.
        while self._owner.setdefault(stem.casefold(), path) != path:
            number += 1
            stem = f"{plain}~{number}"
        return stem


def _rooted(inputs: Sequence[str], recursive: bool, null_separated: bool) -> Iterator[tuple[str, PurePath]]:
    """Yields every path of the inputs, with its path relative to the folder that its input names."""
    for text in inputs:
        root = PurePath(root_of(text))
        for path in iter_paths([text], recursive=recursive, null_separated=null_separated):
            pure = PurePath(path)
            below = pure.relative_to(root) if pure.is_relative_to(root) else pure
            parts = [part for part in below.parts if part not in (below.anchor, "..")]
            yield path, PurePath(*parts) if parts else PurePath("unnamed")


def _outside(
    out: Path, paths: Iterable[tuple[str, PurePath]], inside: list[str]
) -> Iterator[tuple[str, PurePath]]:
    """Yields the paths that are not in the output folder, which may be in a folder that is searched.

    The first path in the output folder is appended to `inside`.
    """
    folder = os.path.realpath(out) + os.sep
    for path, relative in paths:
        if "\0" in path or not os.path.realpath(path).startswith(folder):
            yield path, relative
        elif not inside:
            inside.append(path)


def _save(crop: Image.Image, path: Path, quality: int, how: str) -> None:
    with whole_file(path) as part, writing(path):
        if path.suffix == ".png":
            text = PngInfo()
            text.add_text(MARKER, how)
            crop.save(part, "PNG", pnginfo=text)
        else:
            crop.save(part, "JPEG", quality=quality, subsampling=0, comment=f"{MARKER} {how}".encode())
