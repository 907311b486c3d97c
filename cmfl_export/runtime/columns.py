"""The columns of result rows: those of every row, and groups of more that an option adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

COLUMNS = ("path", "p_real", "p_real_rgb", "p_real_spectrum", "decision", "status", "error")
FACE_COLUMNS = ("face", "faces", "left", "top", "right", "bottom")
GEOMETRY_COLUMNS = ("geometry", "face_size", "faces_found")

# In the order in which rows have them:
# - faces, geometry: faces are looked for;
# - domain: the model's card describes its training images;
# - stability: the image is also scored after small changes;
# - provenance: what the file says of its picture;
# - video: there are videos among the inputs; `time` and `track` are of a frame, the others of a video itself.
GROUPS: dict[str, tuple[str, ...]] = {
    "faces": FACE_COLUMNS,
    "geometry": GEOMETRY_COLUMNS,
    "domain": ("domain", "out_of_domain"),
    "stability": ("spread", "flips"),
    "provenance": ("source_type", "generator", "c2pa_state", "colour_profile"),
    "video": ("time", "track", "frames", "frames_with_face", "share_synthetic"),
}

Kind = Literal["text", "score", "number", "count", "flag"]

# How a picture became the model's input. `crop`: it has its size, and is scored as it is; `aligned`: its face
# was found and aligned; `resized`: an aligned crop of another size; `middle`: its middle square, unchecked.
Geometry = Literal["crop", "aligned", "resized", "middle"]

# What a column holds; each may be empty, but for path, status and error. A score is within 0 and 1, a number
# is finite, a count is a whole number, a flag is true or false.
KINDS: dict[str, Kind] = {
    "path": "text",
    "p_real": "score",
    "p_real_rgb": "score",
    "p_real_spectrum": "score",
    "decision": "text",
    "status": "text",
    "error": "text",
    "face": "count",
    "faces": "count",
    "left": "number",
    "top": "number",
    "right": "number",
    "bottom": "number",
    "geometry": "text",
    "face_size": "number",
    "faces_found": "count",
    "domain": "number",
    "out_of_domain": "flag",
    "spread": "score",
    "flips": "count",
    "source_type": "text",
    "generator": "text",
    "c2pa_state": "text",
    "colour_profile": "text",
    "time": "number",
    "track": "count",
    "frames": "count",
    "frames_with_face": "count",
    "share_synthetic": "score",
}


def columns_with(groups: Sequence[str]) -> tuple[str, ...]:
    """The columns of rows that have these groups, whatever the order of `groups`."""
    return (*COLUMNS, *(column for name, more in GROUPS.items() if name in groups for column in more))


def groups_of(columns: Sequence[str]) -> tuple[str, ...] | None:
    """The groups that rows with these columns have; None if no rows have these columns in this order."""
    groups = tuple(name for name, more in GROUPS.items() if more[0] in columns)
    return groups if tuple(columns) == columns_with(groups) else None
