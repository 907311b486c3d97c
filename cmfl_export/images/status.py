"""The status of an input: whether it has a score, and what is wrong with it."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Whether an input has a score (see `has_score`), and what is wrong with it."""

    OK = "ok"
    LOW_RESOLUTION = "low_resolution"
    NOT_FOUND = "not_found"
    NOT_A_FILE = "not_a_file"
    PERMISSION_DENIED = "permission_denied"
    FORBIDDEN = "forbidden"
    UNAVAILABLE = "unavailable"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"
    NO_FACE = "no_face"

    @property
    def has_score(self) -> bool:
        """Whether inputs with this status have a score; that of `LOW_RESOLUTION` says little."""
        return self in (Status.OK, Status.LOW_RESOLUTION)


class ImageError(Exception):
    """A picture cannot be scored. `status` is the reason, `message` one short line without the path."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
