"""The text of an input that is no file of its own: an address in a store, or a member of an archive.

A member is `ARCHIVE::MEMBER`, such as `shard.tar::a/0001.jpg`; the archive may be a file or an address. A row
of a Parquet file is `FILE.parquet::COLUMN/ROW`, with `/NAME` behind it where the row has a name. A frame of a
video file is `clip.mp4::12.000s`: what is shown at that time.
"""

from __future__ import annotations

import re

from ..foreign import VIDEO_ENDINGS

SEPARATOR = "::"
SCHEMES = ("s3", "s3a", "gs", "gcs", "hf", "az", "abfs", "abfss", "https", "http")

_WEB = ("https", "http")
_KINDS = {".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".zip": "zip", ".parquet": "parquet"}
_ENDING = r"\.(?:tar|tar\.gz|tgz|zip|parquet)"
# The archive is the shortest beginning that can be one, so that a member may have any name.
_MEMBER = re.compile(rf"(.+?{_ENDING}){SEPARATOR}(.+)", re.DOTALL | re.IGNORECASE)
_MEMBER_ON_THE_WEB = re.compile(rf"([^?]+?{_ENDING}(?:\?.*?)?){SEPARATOR}(.+)", re.DOTALL | re.IGNORECASE)
_FRAME = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, VIDEO_ENDINGS))})){SEPARATOR}([0-9]{{1,9}})(?:\.([0-9]{{1,3}}))?s",
    re.DOTALL | re.IGNORECASE,
)
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://(?=.)", re.DOTALL | re.IGNORECASE)


def scheme_of(text: str) -> str:
    """The scheme of an address in a store or on the web, in lower case; "" for anything else."""
    if "://" not in text:
        return ""
    found = _ADDRESS.match(text)
    return found[1].lower() if found else ""


def is_web(text: str) -> bool:
    """Whether a text is an https or http address."""
    return scheme_of(text) in _WEB


def archive_kind(text: str) -> str:
    """`tar`, `tar.gz`, `zip` or `parquet` by the ending of a path or an address; "" for anything else."""
    name = text.partition("?")[0] if is_web(text) else text
    name = name.lower()
    return next((kind for ending, kind in _KINDS.items() if name.endswith(ending)), "")


def split_member(text: str) -> tuple[str, str] | None:
    """The archive and the member that a text names; None if it names no member."""
    if SEPARATOR not in text:
        return None
    found = (_MEMBER_ON_THE_WEB if is_web(text) else _MEMBER).fullmatch(text)
    return (found[1], found[2]) if found else None


def split_frame(text: str) -> tuple[str, int] | None:
    """The video file and the time in milliseconds of a frame that a text names; None if it names no frame."""
    found = _FRAME.fullmatch(text) if SEPARATOR in text and not scheme_of(text) else None
    return None if found is None else (found[1], int(found[2]) * 1000 + int((found[3] or "").ljust(3, "0")))


def frame_of(video: str, milliseconds: int) -> str:
    """The text of a frame."""
    return f"{video}{SEPARATOR}{milliseconds // 1000}.{milliseconds % 1000:03}s"


def member_of(archive: str, name: str) -> str:
    """The text of a member."""
    return f"{archive}{SEPARATOR}{name}"


def shown(text: str) -> str:
    """The text as rows, errors and logs may have it: without user, password and the query of a web address.

    Where something was cut, `?...` stands for the query: a signed address holds the right to read.
    """
    scheme = scheme_of(text)
    if not scheme:
        return text
    archive, member = split_member(text) or (text, "")
    rest = archive[len(scheme) + 3 :]
    query = ""
    if scheme in _WEB:
        rest = rest.partition("#")[0]
        rest, query, _ = rest.partition("?")
    place, slash, path = rest.partition("/")
    if scheme in _WEB and "@" not in place and ":" in place and not place.rpartition(":")[2].isdigit():
        # A password with a slash that should have been encoded.
        place, slash, path = rest.rpartition("@")[2], "", ""
    if scheme in _WEB or ":" in place.rpartition("@")[0]:
        place = place.rpartition("@")[2]
    cut = f"{archive[: len(scheme)]}://{place}{slash}{path}" + ("?..." if query else "")
    return member_of(cut, member) if member else cut
