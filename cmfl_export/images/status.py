"""The status of an input: whether it has a score, and if not, why."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Whether an input has a score (`OK`), and if not, why."""

    OK = "ok"
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


class ImageError(Exception):
    """A picture cannot be scored. `status` is the reason, `message` one short line without the path."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
