"""How samples lie in a file, and what of that Pillow decodes right; every mode becomes 8-bit RGB here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

# Floats are 0..1. What lies beyond is clipped as long as it can be overshoot or a highlight.
_FLOAT_RANGE = (-1.0, 2.0)

# Grey of few bits is spread over 0..255 in decoding, the transparent value in the header is not.
_SPREAD = {"L;2": 85, "L;4": 17}

_NOT_8_OR_16_BITS = "save it with 8 or 16 bits a channel"


class _Tag:
    SUBFILE = 254
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    PLANAR = 284
    INKS = 332
    EXTRA = 338
    SAMPLE_FORMAT = 339
    SUBSAMPLING = 530
    DNG = 50706


# TIFF: none, CCITT, LZW, JPEG, Deflate, PackBits, Deflate as it was first numbered.
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
_UNCOMPRESSED = 1


class UnsupportedError(Exception):
    """A sound file whose samples cannot be decoded right; the text is what they are."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What must be known of a file, besides Pillow's mode, to understand the samples that it loads.

    Attributes:
        white: the value of white in 16-bit grey.
        key: the grey value or the colour that is transparent, as it is loaded; None leaves transparency to
            Pillow.
        low_key: of 16-bit colour, whose high bytes are loaded, the low bytes of the transparent colour.
    """

    white: int = 65535
    key: int | tuple[int, ...] | None = None
    low_key: tuple[int, ...] | None = None


class Picture(NamedTuple):
    """A loaded picture with its layout; `low` are the low bytes of 16-bit colour, where `low_key` is set."""

    image: Image.Image
    layout: Layout = Layout()
    low: Image.Image | None = None


def layout_of(image: Image.Image) -> Layout:
    """The layout of a picture that has been opened and not loaded yet.

    Raises:
        UnsupportedError: Pillow would load something else than the file holds.
    """
    if isinstance(image, TiffImageFile):
        return _of_tiff(image)
    if isinstance(image, PngImageFile):
        return _of_png(image)
    if image.format == "PPM" and image.mode == "F" and image.info.get("scale", 1.0) != 1.0:
        raise UnsupportedError(f"floats with a scale of {image.info['scale']:g}; {_NOT_8_OR_16_BITS}")
    return Layout()


def low_bytes(image: ImageFile) -> Image.Image:
    """Loads a 16-bit colour PNG that has just been opened: its low bytes instead of the high ones."""
    # Read in the wrong byte order, the byte that Pillow keeps is the other one.
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


def to_rgb(picture: Picture) -> Image.Image:
    """Mode RGB; transparent pictures over white.

    Raises:
        UnsupportedError: floating point whose range is unknown.
    """
    image, layout, _ = picture
    mode = image.mode
    clear = None if layout.key is None else _is_key(picture)
    if mode.startswith("I"):
        image = _from_16_bit(image, layout.white)
    elif mode == "F":
        image = _from_float(image)
    elif clear is None and image.has_transparency_data:
        return _over_white(image)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if clear is not None:
        white = Image.new("RGB", image.size, "white")
        return Image.composite(white, image, Image.fromarray(clear))
    return image


def _of_png(image: PngImageFile) -> Layout:
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes) or image.mode == "P":
        return Layout()
    if not image.tile:
        # Loaded by somebody else. What Pillow understands by itself is left to it.
        return Layout(key=key) if image.mode == "I;16" else Layout()
    raw = image.tile[0].args
    if raw == "RGB;16B":
        return Layout(key=tuple(value >> 8 for value in key), low_key=tuple(value & 255 for value in key))
    if isinstance(key, tuple):
        return Layout(key=tuple(value & 255 for value in key))
    if raw in _SPREAD:
        spread = _SPREAD[raw]
        return Layout(key=(key & 255 // spread) * spread)
    return Layout(key=key if image.mode == "I;16" else key & 255)


def _of_tiff(image: TiffImageFile) -> Layout:
    tags = image.tag_v2
    bits = _first(tags.get(_Tag.BITS, 1))
    photometric = tags.get(_Tag.PHOTOMETRIC, 0)
    packed = tags.get(_Tag.COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
    planes = tags.get(_Tag.PLANAR, 1) == 2
    if tags.get(_Tag.COMPRESSION, _UNCOMPRESSED) not in _COMPRESSIONS:
        raise UnsupportedError(f"TIFF compression {tags[_Tag.COMPRESSION]}; save it without compression")
    if _Tag.DNG in tags or tags.get(_Tag.SUBFILE, 0) & 1:
        raise UnsupportedError("a camera's raw file, of which the thumbnail comes first; develop it to JPEG")
    if _first(tags.get(_Tag.SAMPLE_FORMAT, 1)) == 2 or image.mode == "I":
        raise UnsupportedError(f"{bits}-bit integers of unknown range; {_NOT_8_OR_16_BITS}")
    wide = image.mode == "F" or bits > 8
    # Pillow swaps the bytes once more that libtiff has swapped, does not turn white, and takes planes of
    # 16 bits for planes of 8.
    wrong = {
        "floats, compressed and big-endian": image.mode == "F" and packed and tags.prefix == b"MM",
        "more than 8 bits with white as 0": wide and photometric == 0,
        "more than 8 bits with reversed bits": wide and tags.get(_Tag.FILL_ORDER, 1) != 1,
        "more than 8 bits in separate planes": wide and planes and not packed,
        "separate planes with associated alpha": planes and not packed and 1 in tags.get(_Tag.EXTRA, ()),
        "subsampled colour without compression": photometric == 6
        and not packed
        and image.mode != "L"
        and tags.get(_Tag.SUBSAMPLING, (2, 2)) != (1, 1),
        "YCbCr in separate planes": photometric == 6 and planes,
        "inks other than CMYK": photometric == 5 and tags.get(_Tag.INKS, 1) != 1,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise UnsupportedError(f"TIFF of {what}; save it as PNG")
    return Layout(white=4095 if bits == 12 else 65535)


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


def _is_key(picture: Picture) -> npt.NDArray[np.bool_]:
    """[H, W], where the picture has its transparent colour."""
    image, layout, low = picture
    if image.mode == "1":
        image = image.convert("L")
    found = np.asarray(image) == np.asarray(layout.key)
    if low is not None:
        found &= np.asarray(low) == np.asarray(layout.low_key)
    clear: npt.NDArray[np.bool_] = found.all(axis=2) if found.ndim == 3 else found
    return clear


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    result = Image.new("RGB", image.size, "white")
    result.paste(rgba, mask=rgba.getchannel("A"))
    return result


def _from_16_bit(image: Image.Image, white: int) -> Image.Image:
    values = np.asarray(image).clip(0, white).astype(np.uint32)
    return Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))


def _from_float(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image), nan=0.0, posinf=1.0, neginf=0.0)
    lowest, highest = float(values.min()), float(values.max())
    if lowest < _FLOAT_RANGE[0] or highest > _FLOAT_RANGE[1]:
        raise UnsupportedError(
            f"floats from {lowest:g} to {highest:g}, where 0 to 1 is black to white; {_NOT_8_OR_16_BITS}"
        )
    return Image.fromarray(np.rint(values.clip(0.0, 1.0) * 255.0).astype(np.uint8))
