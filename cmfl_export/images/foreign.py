"""Files of kinds that are known but are no pictures that are decoded: by name and first bytes, with advice.

HEIC is one of them where the extra `heic` is not installed. A video is one as a whole; `sources.frames` gives
its frames.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

HEIC, _JXL, _RAW = "a HEIC/HEIF image", "a JPEG XL image", "a camera's raw file"
VIDEO = "a video"
VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".mts", ".m2ts")
_SVG, _PHOTOSHOP, _PAM = "an SVG drawing", "a Photoshop document", "a PAM or colour PFM image"
_BY_NAME = {
    HEIC: ".heic .heif .hif .heics .heifs .avci",
    _JXL: ".jxl",
    _RAW: (
        ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .rw2"
        " .rwl .sr2 .srf .srw .x3f"
    ),
    _PHOTOSHOP: ".psd .psb",
    _SVG: ".svg .svgz",
    "a GIMP document": ".xcf",
    "a Targa image": ".tga .vda .icb .vst",
    "an OpenEXR image": ".exr",
    "a Radiance HDR image": ".hdr",
    "a JPEG XR image": ".jxr .wdp .hdp",
    "an icon": ".ico .cur .icns",
    "a PCX image": ".pcx .dcx",
    "an SGI image": ".sgi",
    "a DDS texture": ".dds",
    "a QOI image": ".qoi",
    "a JPEG-LS image": ".jls",
    "a FITS image": ".fit .fits .fts",
    "a DICOM image": ".dcm .dicom",
    _PAM: ".pam",
    VIDEO: " ".join(VIDEO_ENDINGS),
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _BY_NAME.items() for suffix in suffixes.split()}

# (offset, bytes)
_BY_CONTENT = (
    *((4, b"ftyp" + brand, HEIC) for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
    (0, b"\xff\x0a", _JXL),
    (0, b"\0\0\0\x0cJXL ", _JXL),
    (0, b"8BPS", _PHOTOSHOP),
    (0, b"<svg", _SVG),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (4, b"ftypcrx ", _RAW),
    *((0, magic, _RAW) for magic in (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb")),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"II\xbc", "a JPEG XR image"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"qoif", "a QOI image"),
    *(
        (4, b"ftyp" + brand, VIDEO)
        for brand in (b"iso", b"mp4", b"avc1", b"M4V", b"qt", b"3g", b"MSNV", b"dash")
    ),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (8, b"AVI LIST", VIDEO),
    *((0, magic + end, _PAM) for magic in (b"P7", b"PF") for end in (b"\n", b"\r", b" ")),
)


def is_foreign(name: str) -> bool:
    """Whether a file's name is that of a known image kind that is not decoded, such as photo.heic."""
    return _KIND_OF_SUFFIX.get(_suffix(name), VIDEO) != VIDEO


def is_video_name(name: str) -> bool:
    """Whether a file's name is that of a video."""
    return _suffix(name) in VIDEO_ENDINGS


def foreign_kind(name: str, head: bytes) -> str:
    """The kind of a file that is not decoded, by its first 32 bytes, else by its name; "" if unknown."""
    if head[4:12] in (b"ftypmif1", b"ftypmsf1") and b"avif" not in head:
        # A container for several codecs; the brands that follow name the codec.
        return HEIC
    for offset, magic, kind in _BY_CONTENT:
        if head.startswith(magic, offset):
            return kind
    return _KIND_OF_SUFFIX.get(_suffix(name), "")


def hint(name: str) -> str:
    """Advice to append to the error for a file that is not an image, by its name; or ""."""
    if _suffix(name) == ".onnx":
        return ", but a model; give it once, in front of the images: cmfl predict MODEL.onnx FOLDER"
    return ""


def advice(kind: str) -> str:
    """The error text for a file of this kind: what it is and what to do."""
    if kind == VIDEO:
        return (
            "a video, of which cmfl predict scores frames: name the file or give --every 1s; FILE::12.000s "
            "is one frame"
        )
    example = {
        HEIC: ", for instance with 'heif-convert photo.heic photo.jpg'",
        _JXL: ", for instance with 'djxl photo.jxl photo.png'",
        _RAW: " with the program that develops your photographs",
    }
    return f"{kind}, which is not decoded; convert it to PNG or JPEG{example.get(kind, '')}"


def foreign_table() -> dict[str, Any]:
    """The kinds of this module with their advice, for a program that is not Python.

    Returns:
        `content`: triples of an offset, the bytes there as Latin-1 text, and the advice. `names`: the advice
        by suffix. `container`: the advice for a container without the brand `avif`, see `foreign_kind`.
    """
    return {
        "content": [[offset, magic.decode("latin-1"), advice(kind)] for offset, magic, kind in _BY_CONTENT],
        "names": {suffix: advice(kind) for suffix, kind in _KIND_OF_SUFFIX.items()},
        "container": advice(HEIC),
    }


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()
