"""Converts every pixel format to 8-bit RGB and refuses those that Pillow would decode wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

# Floats count as 0..1. Values beyond that are clipped within this range, as overshoot or highlights.
_FLOAT_RANGE = (-1.0, 2.0)

# Decoding spreads grey of 2 or 4 bits over 0..255, but not the transparent value in the header.
_SPREAD = {"L;2": 85, "L;4": 17}

_NOT_8_OR_16_BITS = "save it with 8 or 16 bits per channel"


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


# TIFF: none, CCITT, LZW, JPEG, Deflate, PackBits, Deflate by its old number.
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
_UNCOMPRESSED = 1


class UnsupportedError(Exception):
    """A sound file has samples that cannot be decoded correctly. The text describes them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The facts about a file, besides Pillow's mode, that are needed to interpret its samples.

    Attributes:
        white: the value of white in 16-bit grey.
        key: the transparent grey value or colour, in loaded values; None leaves transparency to Pillow.
        low_key: for 16-bit colour, of which Pillow loads the high bytes: the low bytes of the transparent
            colour.
    """

    white: int = 65535
    key: int | tuple[int, ...] | None = None
    low_key: tuple[int, ...] | None = None


class Picture(NamedTuple):
    """A loaded picture with its layout. `low` holds the low bytes of 16-bit colour if `low_key` is set."""

    image: Image.Image
    layout: Layout = Layout()
    low: Image.Image | None = None


def layout_of(image: Image.Image) -> Layout:
    """The layout of a picture that is opened but not yet loaded.

    Raises:
        UnsupportedError: Pillow would load wrong values.
    """
    if isinstance(image, TiffImageFile):
        return _of_tiff(image)
    if isinstance(image, PngImageFile):
        return _of_png(image)
    if image.format == "PPM" and image.mode == "F" and image.info.get("scale", 1.0) != 1.0:
        raise UnsupportedError(f"floats with a scale of {image.info['scale']:g}; {_NOT_8_OR_16_BITS}")
    return Layout()


def low_bytes(image: ImageFile) -> Image.Image:
    """Loads the low bytes, instead of the high ones, of a 16-bit colour PNG that has just been opened."""
    # In the wrong byte order, Pillow keeps the other byte.
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


def to_rgb(picture: Picture) -> Image.Image:
    """The picture in mode RGB; transparent pictures are laid over white.

    Raises:
        UnsupportedError: the picture has floating-point values of an unknown range.
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
        # The caller has loaded it. Pillow handles the transparency of all other modes.
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
    # Pillow swaps bytes that libtiff has already swapped, does not invert white, and reads planes of 16 bits
    # as planes of 8.
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
    """Where the picture has its transparent colour: bool [H, W]."""
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
