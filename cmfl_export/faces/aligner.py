"""From a picture to its aligned faces, for every command that looks for faces."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from ..base.errors import UsageError
from ..images import SIZE, ImageError, Status
from .crop import FACE_SCALE, Aligned, align
from .find import MINIMUM, Face, FaceFinder
from .framing import face_of_crop, is_on_template

# Beyond these scales a crop shows only a nose, or a crowd.
_SMALLEST_SCALE, _LARGEST_SCALE = 0.2, 2.0


class AlignedFace(NamedTuple):
    """One face of a picture.

    Attributes:
        number, of: its number, 0 for the largest, and the number of faces in the picture's result.
        face: where it is.
        crop: its aligned crop.
        found: the number of faces in the picture.
    """

    number: int
    of: int
    face: Face
    crop: Aligned
    found: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The face's left, top, right and bottom, rounded to a tenth of a pixel as in rows."""
        left, top, right, bottom = (round(value, 1) for value in self.face.box)
        return left, top, right, bottom


class AlignedAlready(NamedTuple):
    """A picture that is an aligned crop already, or claims to be one.

    Attributes:
        face: where its face is; None if none was found.
        found: the number of faces in the picture; None where it was not searched.
    """

    face: Face | None
    found: int | None


class Aligner:
    """Finds and crops the faces of a picture. Safe to share between threads."""

    def __init__(
        self,
        *,
        largest: bool = False,
        face_scale: float = FACE_SCALE,
        minimum: int = MINIMUM,
        provider: str = "auto",
    ) -> None:
        """Loads the networks.

        Args:
            largest: keep only the largest face of each picture.
            face_scale: size of the face in the crop, 0.2 to 2; see `crop.template`.
            minimum, provider: see `FaceFinder`.

        Raises:
            UsageError: a number is out of its range.
            PackageError, ProviderError: the networks cannot be loaded, see `FaceNetworks`.
        """
        if not _SMALLEST_SCALE <= face_scale <= _LARGEST_SCALE:
            raise UsageError(
                f"the face scale must be within {_SMALLEST_SCALE} and {_LARGEST_SCALE}, not {face_scale}"
            )
        self._finder = FaceFinder(provider=provider, minimum=minimum)
        self._largest = largest
        self.face_scale = face_scale
        self.provider = self._finder.provider

    def __call__(self, picture: Image.Image) -> list[AlignedFace]:
        """The faces of an RGB picture, at least one, the largest first.

        Raises:
            ImageError: there is no face; its status is `no_face`.
            ProviderError: a network failed to run.
        """
        faces = self._finder.find(picture)
        if not faces:
            raise ImageError(Status.NO_FACE, "no face found")
        return self._aligned(picture, faces)

    def unless_aligned(self, picture: Image.Image) -> list[AlignedFace] | AlignedAlready:
        """The faces of an RGB picture, as of a call, unless it is an aligned crop already.

        A picture of 224 x 224 without a face counts as a crop: it has the size of one.

        Raises:
            ImageError: there is no face; its status is `no_face`.
            ProviderError: a network failed to run.
        """
        is_square = picture.width == picture.height
        face = face_of_crop(picture, self._finder) if is_square else None
        if face is not None:
            return AlignedAlready(face, None)
        faces = self._finder.find(picture)
        if not faces and picture.size == (SIZE, SIZE):
            return AlignedAlready(None, 0)
        if not faces:
            raise ImageError(Status.NO_FACE, "no face found; align none would score the middle square")
        if is_square and is_on_template(faces[0].landmarks, picture.width):
            return AlignedAlready(faces[0], len(faces))
        return self._aligned(picture, faces)

    def _aligned(self, picture: Image.Image, faces: list[Face]) -> list[AlignedFace]:
        kept = faces[:1] if self._largest else faces
        return [
            AlignedFace(
                number,
                len(kept),
                face,
                align(picture, face.landmarks, face_scale=self.face_scale),
                len(faces),
            )
            for number, face in enumerate(kept)
        ]
