"""What a run of `cmfl predict` comes to, in numbers and as text."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.text import counted, failures
from ..images import Status
from ..runtime import REAL, SYNTHETIC, UNCERTAIN, Prediction

# What a summary says of rows that have a score, after their number.
_NOTES = {
    "low": "low_resolution: the face is so small in its picture that the score says little",
    "unfound": "of 224x224 pixels without a face that was found, scored as they are",
    "crowded": "with more than one face, of which the largest is scored; --align all scores each",
    "middles": "scored on their middle square, as they are not 224x224; to find their faces: "
    "pip install 'cmfl-export[faces]'",
}


@dataclass
class Summary:
    """The result of a run.

    Attributes:
        provider: where the model ran.
        passed_over: why `auto` did not use the GPU although there is an NVIDIA driver, else "".
        starter: the model that was used because none was given, else "".
        banded: whether the model has a band of uncertain scores.
        n: rows written; each but those of frames is real, synthetic, uncertain or failed.
        images, videos: inputs that have all of their rows.
        frames: frames of videos that have all of their rows.
        faces: rows of faces, if faces were searched.
        low: rows with a score whose face is too small in its picture (`low_resolution`).
        unfound: pictures of 224x224 that were scored as they are although no face was found.
        middles: pictures whose middle square was scored, as the package for finding faces is missing.
        crowded: pictures with more faces than the one that was scored.
        failed: rows without a score, by status.
        out_of_domain: rows whose image is unlike the training images; None if the model does not know them.
        skipped: inputs that already had their rows (resume).
        unsampled: videos in folders and archives that were passed over.
        seconds: duration without loading the model.
        report: the page that was written, else "".
        case, digest: the case file that was written, and the SHA-256 of its manifest, else "".
    """

    provider: str
    passed_over: str = ""
    starter: str = ""
    banded: bool = False
    n: int = 0
    images: int = 0
    videos: int = 0
    frames: int = 0
    faces: int = 0
    real: int = 0
    synthetic: int = 0
    low: int = 0
    unfound: int = 0
    middles: int = 0
    crowded: int = 0
    uncertain: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    out_of_domain: int | None = None
    skipped: int = 0
    unsampled: int = 0
    seconds: float = 0.0
    report: str = ""
    case: str = ""
    digest: str = ""

    @property
    def images_per_second(self) -> float:
        """Pictures and frames per second; 0 before the end of the run."""
        return (self.images + self.frames) / self.seconds if self.seconds else 0.0

    def pass_over(self, video: str) -> None:
        """Counts a video that has no rows."""
        self.unsampled += 1

    def count(self, row: Prediction) -> None:
        """Counts one more row."""
        self.n += 1
        is_frame, is_video = row.time is not None, row.frames is not None
        self.images += row.is_last and not (is_frame or is_video)
        self.frames += row.is_last and is_frame
        self.videos += is_video
        self.faces += row.face is not None
        # That of a video repeats what its frames say.
        self.low += row.status is Status.LOW_RESOLUTION and not is_video
        self.unfound += row.faces_found == 0
        self.middles += row.geometry == "middle"
        self.crowded += row.face == 0 and (row.faces_found or 0) > (row.faces or 0)
        if row.out_of_domain is not None:
            self.out_of_domain = (self.out_of_domain or 0) + row.out_of_domain
        if is_frame:
            # What counts is the row of its video.
            return
        if row.decision == REAL:
            self.real += 1
        elif row.decision == SYNTHETIC:
            self.synthetic += 1
        elif row.decision == UNCERTAIN:
            self.uncertain += 1
        else:
            self.failed[row.status.value] = self.failed.get(row.status.value, 0) + 1

    def advice_on_videos(self) -> str:
        """What to append to the error that there are no images; "" if there are no videos either."""
        return f" but {counted(self.unsampled, 'video')}; give --every 1s" if self.unsampled else ""

    def add(self, other: Summary) -> None:
        """Counts the rows of another run, but not its time."""
        for name in (
            "n",
            "images",
            "videos",
            "frames",
            "faces",
            "real",
            "synthetic",
            "uncertain",
            "skipped",
            *_NOTES,
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.out_of_domain is not None:
            self.out_of_domain = (self.out_of_domain or 0) + other.out_of_domain
        for status, count in other.failed.items():
            self.failed[status] = self.failed.get(status, 0) + count

    def lines(self) -> list[str]:
        """The result as text, for standard error."""
        failed = failures(self.failed, "failed")
        faces = f", {counted(self.faces, 'face')}" if self.faces else ""
        uncertain = f"{self.uncertain} uncertain, " if self.banded or self.uncertain else ""
        inputs = [counted(self.images, "image")] if self.images or not self.videos else []
        if self.videos:
            inputs.append(f"{counted(self.videos, 'video')} of {counted(self.frames, 'frame')}")
        lines = [
            f"{', '.join(inputs)}{faces}: {self.real} real, {self.synthetic} synthetic, {uncertain}{failed}"
        ]
        if self.out_of_domain:
            lines.append(
                f"{self.out_of_domain} out of domain: unlike the training images, so without a basis"
            )
        if self.skipped:
            lines.append(f"{self.skipped} skipped: they already have their rows")
        lines += [f"{number} {note}" for name, note in _NOTES.items() if (number := getattr(self, name))]
        if self.unsampled:
            lines.append(f"{counted(self.unsampled, 'video')} passed over; name them, or give --every 1s")
        lines.append(f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s on {self.provider}")
        if self.starter:
            lines.append(f"scored with {self.starter}, as no model was given")
        if self.report:
            lines.append(f"report in {self.report}")
        if self.passed_over:
            lines.append(self.passed_over)
        if self.case:
            # The last line, for a program that signs it or has it time-stamped.
            lines += [f"case in {self.case}, SHA-256 of its manifest:", self.digest]
        return lines
