"""Frames of videos in memory, until they are scored: no more than there is room for."""

from __future__ import annotations

import os
from threading import Condition, Lock

from .video import Decoded, as_picture

# Frames of a passage that wait to be scored. Those beyond are decoded once more when they are.
_MOST_HELD_BYTES = 1 << 30


class _Memory:
    """The memory of frames that wait, for all threads."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all holders. Used after a fork, when the child has none of these threads."""
        self._held = 0
        self._changed = Condition()

    def take(self, size: int, patience: float) -> bool:
        """Takes room if there is some within the time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held + size <= _MOST_HELD_BYTES, patience):
                return False
            self._held += size
            return True

    def give(self, size: int) -> None:
        """Gives it back."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()


_memory = _Memory()
os.register_at_fork(after_in_child=_memory.clear)


class Held:
    """A frame in memory, which is given up when it is taken."""

    def __init__(self, decoded: Decoded, size: int) -> None:
        self._decoded: Decoded | None = decoded
        self._size = size
        self._lock = Lock()

    @classmethod
    def of(cls, decoded: Decoded, patience: float) -> Held | None:
        """Holds a frame, if there is room for it within so many seconds."""
        size = sum(plane.buffer_size for plane in decoded.frame.planes)
        return cls(decoded, size) if _memory.take(size, patience) else None

    def take(self) -> bytes | None:
        """Returns the frame as a picture file; None where it was taken already."""
        with self._lock:
            decoded, self._decoded = self._decoded, None
        if decoded is None:
            return None
        try:
            return as_picture(decoded)
        finally:
            _memory.give(self._size)

    def __del__(self) -> None:
        if self._decoded is not None:
            _memory.give(self._size)
