"""What is written in an image file besides its pixels: EXIF, IPTC, XMP, PNG texts, comments."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from PIL import ImageCms, IptcImagePlugin, JpegImagePlugin
from PIL.ImageFile import ImageFile

from ..images import Tables, open_header, tables_of
from .png_texts import png_texts
from .xmp import xmp_values

# A text beyond this is cut: prompts and workflows have some ten thousand characters.
MOST_CHARACTERS = 1_000_000

# A profile of a camera or a screen has some kilobytes, one of a printer up to some megabytes.
_MOST_PROFILE_BYTES, _MOST_NAME = 8 << 20, 200

_EXIF = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x8298: "Copyright",
}
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_IPTC = {
    (2, 40): "Instructions",
    (2, 65): "OriginatingProgram",
    (2, 110): "Credit",
    (2, 115): "Source",
    (2, 120): "Caption",
}
_PNG_XMP = "XML:com.adobe.xmp"
_TIFF_XMP = 700
# A resource that only Photoshop writes: the quality that it saved a JPEG with.
_PHOTOSHOP_QUALITY = 0x0406


@dataclass(frozen=True, slots=True)
class Statement:
    """One text of a file: the standard that it follows, the field, and the text as it is in the file."""

    where: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """All texts of a file, the name of its colour profile, and the quantisation tables of a JPEG file."""

    statements: tuple[Statement, ...] = ()
    tables: Tables | None = None
    colour_profile: str = ""


def read_header(data: bytes) -> Header:
    """Reads the texts of an image file without decoding its pixels.

    Damaged metadata are left out: they say nothing. A file that Pillow cannot open has no texts.
    """
    try:
        with open_header(data) as image:
            statements = tuple(_statements(image, data))
            tables = None
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                tables = tables_of(image.quantization)
            return Header(statements, tables, _profile_name(image.info.get("icc_profile")))
    except Exception:  # Pillow raises many classes on damaged headers
        return Header()


def _profile_name(profile: object) -> str:
    """The description of an ICC profile; `damaged` for one that cannot be read, "" without one."""
    if not isinstance(profile, bytes) or not profile:
        return ""
    if len(profile) > _MOST_PROFILE_BYTES:
        return "damaged"
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return "damaged"
    return " ".join(name.split())[:_MOST_NAME] or "without a name"


def _statements(image: ImageFile, data: bytes) -> Iterator[Statement]:
    texts = dict[str, str]()
    if image.format == "PNG":
        texts = png_texts(data, MOST_CHARACTERS)
    for field, text in texts.items():
        if field != _PNG_XMP:
            yield from _statement("PNG text", field, text)
    for source in (_exif, _iptc, _comments):
        found: list[Statement] = []
        # What was read before the damage counts.
        with suppress(Exception):
            found.extend(source(image))
        yield from found
    packet = texts.get(_PNG_XMP) or image.info.get("xmp") or _tiff_xmp(image)
    if packet:
        for field, text in xmp_values(packet):
            yield from _statement("XMP", field, text)


def _exif(image: ImageFile) -> Iterator[Statement]:
    exif = image.getexif()
    for tag, field in _EXIF.items():
        yield from _statement("EXIF", field, exif.get(tag))
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    yield from _statement("EXIF", "UserComment", _user_comment(comment))


def _user_comment(value: object) -> object:
    """The text of a UserComment, whose first eight bytes name its encoding."""
    if not isinstance(value, bytes):
        return value
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        # The standard leaves the byte order open. A text in Latin letters has zeros in the high bytes.
        order = "utf-16-le" if text[1:2] == b"\0" else "utf-16-be"
        return text.decode(order, "replace")
    return text.decode("utf-8", "replace") if code in (b"ASCII\0\0\0", bytes(8)) else value


def _iptc(image: ImageFile) -> Iterator[Statement]:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return
    for key, value in (IptcImagePlugin.getiptcinfo(image) or {}).items():
        if key in _IPTC:
            for one in value if isinstance(value, list) else [value]:
                yield from _statement("IPTC", _IPTC[key], one)
    resources = image.info.get("photoshop") or {}
    if _PHOTOSHOP_QUALITY in resources:
        yield Statement("Photoshop", "resources", f"{len(resources)} resources")


def _comments(image: ImageFile) -> Iterator[Statement]:
    yield from _statement(image.format or "", "comment", image.info.get("comment"))


def _tiff_xmp(image: ImageFile) -> object:
    tags = getattr(image, "tag_v2", {})
    return tags.get(_TIFF_XMP) if image.format == "TIFF" else None


def _statement(where: str, field: str, value: object) -> Iterator[Statement]:
    """The statement of a value; nothing for an empty one, or one that is no text."""
    if isinstance(value, tuple) and len(value) == 1:
        (value,) = value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and (text := value.strip("\0 \t\r\n")):
        yield Statement(where, field, text[:MOST_CHARACTERS])
