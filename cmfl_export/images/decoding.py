"""The one decoder: a file, bytes, a Pillow image or an array becomes uint8 RGB [224, 224, 3].

Training, verification and prediction all use it, so that they see the same numbers for a picture.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from ..base.options import DetectorOptions
from . import heif
from .decode_limits import TooSlowError, bytes_to_decode, check_header, check_scans, room, timed, webp_pixels
from .foreign import HEIC, advice, foreign_kind, hint
from .jpeg import Survey, load_in_doubt, survey
from .pixel_layouts import Layout, Picture, UnsupportedError, layout_of, low_bytes, to_rgb
from .reasons import as_image_error
from .regular_files import opened_file
from .sources import is_reference, read_bytes
from .status import ImageError, Status
from .truncation import IncompleteError, has_a_hole, lacks_its_end

SIZE = 224
DEFAULT_MAX_PIXELS = DetectorOptions.max_pixels
MAX_FILE_BYTES = 1 << 29

# The shorter side of a picture that is not aligned, before the crop.
UNALIGNED_SIZE = 256

# Beyond this ratio of the sides only the part inside the crop is resized: a strip of 1 x 10,000 would
# otherwise become 224 x 2,240,000.
EXTREME_RATIO = 8

# The formats of photographs (JPEG covers MPO). Pillow's other formats would only add attack surface.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
# These signatures are one or two letters that a text may begin with, so a bad header means "not an image".
_WEAK_SIGNATURES = {"BMP", "PPM"}
# Parts of Pillow's errors for pixel formats that it does not support.
_UNKNOWN = (
    *("unknown pixel mode", "unknown data organization", "unsupported bit depth"),
    *("cannot handle", "Unsupported BMP", "unable to determine J2K image mode"),
)

# This many bytes suffice to recognise a file's format.
_HEAD = 64

# EXIF orientation -> the operation that turns the stored picture upright.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Pixels = npt.NDArray[np.uint8]
ImageLike = str | os.PathLike[str] | bytes | Image.Image | Pixels


def decode(source: ImageLike, *, aligned: bool = True, max_pixels: int = DEFAULT_MAX_PIXELS) -> Pixels:
    """The picture as the model's input: uint8 [224, 224, 3], RGB, 0..255, contiguous and writable.

    Takes the sources and raises the errors of `open_rgb`; has the geometry of `fit`. Thread-safe.
    """
    with opened(source, max_pixels=max_pixels) as image:
        return np.array(fit(image, aligned=aligned))


def open_rgb(source: ImageLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """The picture at its full size, in mode RGB, turned upright by its EXIF orientation.

    An animation gives its first frame. Transparent pictures are laid over white, as viewers and web pages
    show them. 16-bit grey (and Pillow's mode I) is divided by 257 and rounded; 16-bit colour keeps its high
    byte; floating point counts as 0..1, and overshoot is clipped. Files that Pillow would decode wrongly are
    refused (see `pixel_layouts`), as are files above 512 MiB and those that take too long (see
    `decode_limits`). All threads share one budget of memory: a large picture waits until others are done.

    Args:
        source: a path or the address of a picture (see `sources`), the bytes of a file, a Pillow image (not
            changed), or a uint8 array [H, W, 3] RGB or [H, W] grey.
        max_pixels: larger pictures are refused by their header, before anything is decoded. (Pillow itself
            refuses TIFF and WebP above twice `PIL.Image.MAX_IMAGE_PIXELS`, 179 million by default.)

    Raises:
        ImageError: the picture cannot be scored. A bad picture raises no other error.
        TypeError: `source` is of another type, or an array of another dtype or shape.
    """
    with opened(source, max_pixels=max_pixels) as image:
        return image


def open_header(data: bytes) -> ImageFile:
    """The header of a picture in a format that `open_rgb` reads, with its metadata and without its pixels.

    Raises:
        ImageError: the bytes are no such picture, or the header is damaged.
    """
    with as_image_error():
        return _identify(io.BytesIO(data), data[:_HEAD], "")


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of what an address names, whether or not they are a picture.

    Raises:
        ImageError: the file cannot be read, is empty, or is above 512 MiB.
    """
    with as_image_error(), _file(os.fspath(path)) as (stream, length):
        _check_length(length)
        return stream.read()


@contextmanager
def opened(source: ImageLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[Image.Image]:
    """Gives the picture of `open_rgb` while holding its part of the shared memory; raises its errors."""
    if isinstance(source, np.ndarray):
        yield _from_array(source, max_pixels)
        return
    if not isinstance(source, Image.Image | bytes | str | os.PathLike):
        kind = type(source).__name__
        raise TypeError(f"a picture is a path, bytes, a Pillow image or a uint8 array, not {kind}")
    with as_image_error():
        if isinstance(source, Image.Image):
            _check_size(*source.size, max_pixels)
            with room.of(bytes_to_decode(source.format, source.mode, source.width * source.height)):
                yield _loaded(source)
        elif isinstance(source, bytes):
            with _from_stream(io.BytesIO(source), len(source), max_pixels) as image:
                yield image
        else:
            with _from_path(os.fspath(source), max_pixels) as image:
                yield image


def fit(image: Image.Image, *, aligned: bool) -> Image.Image:
    """Resizes the shorter side to 224 (aligned) or 256 (not aligned) and crops the central 224 x 224.

    The result is that of torchvision's Resize + CenterCrop on a Pillow image: Pillow's antialiased bilinear
    filter and torchvision's rounding. An aligned picture of 224 x 224 stays as it is. Beyond an aspect ratio
    of 8 only the part inside the crop is resized, to bound the memory; a value may then differ by 1.
    """
    shorter = SIZE if aligned else UNALIGNED_SIZE
    width, height = image.size
    new_width, new_height = _scaled(width, height, shorter)
    left = round((new_width - SIZE) / 2.0)
    top = round((new_height - SIZE) / 2.0)
    if max(new_width, new_height) > EXTREME_RATIO * shorter:
        across, down = width / new_width, height / new_height
        box = (left * across, top * down, (left + SIZE) * across, (top + SIZE) * down)
        return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
    image = resize_shorter(image, shorter)
    if image.size != (SIZE, SIZE):
        image = image.crop((left, top, left + SIZE, top + SIZE))
    return image


def resize_shorter(image: Image.Image, shorter: int) -> Image.Image:
    """The whole picture, resized to this shorter side as by torchvision's Resize on a Pillow image."""
    size = _scaled(*image.size, shorter)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _scaled(width: int, height: int, shorter: int) -> tuple[int, int]:
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _from_array(array: Pixels, max_pixels: int) -> Image.Image:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise TypeError(
            f"a picture array is uint8 [H, W, 3] or [H, W], not {array.dtype} {list(array.shape)}"
        )
    _check_size(array.shape[1], array.shape[0], max_pixels)
    image = Image.fromarray(np.ascontiguousarray(array))
    return image if image.mode == "RGB" else image.convert("RGB")


@contextmanager
def _from_path(path: str, max_pixels: int) -> Iterator[Image.Image]:
    name = path.rpartition("/")[2] if is_reference(path) else Path(path).name
    with _file(path) as (stream, length), _from_stream(stream, length, max_pixels, name) as image:
        yield image


@contextmanager
def _file(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file, or what an address names; gives its length, too."""
    if not path:
        raise ImageError(Status.NOT_FOUND, "the path is empty")
    if is_reference(path):
        data = read_bytes(path, MAX_FILE_BYTES)
        yield io.BytesIO(data), len(data)
        return
    with opened_file(path) as opened:
        yield opened


@contextmanager
def _from_stream(stream: BinaryIO, length: int, max_pixels: int, name: str = "") -> Iterator[Image.Image]:
    _check_length(length)
    head = stream.read(_HEAD)
    with ExitStack() as held:
        try:
            image = _read(stream, length, head, max_pixels, name, held)
        except (ImageError, IncompleteError, TooSlowError, UnsupportedError):
            raise
        except Exception as error:
            if lacks_its_end(stream, length):
                raise EOFError from error
            raise
        yield image


def _read(
    stream: BinaryIO, length: int, head: bytes, max_pixels: int, name: str, held: ExitStack
) -> Image.Image:
    """The picture of a file. Its part of the shared memory is held by `held`."""
    # Opening a WebP already takes the memory of its canvas.
    size = webp_pixels(head)
    if size is not None:
        _check_size(*size, max_pixels)
        held.enter_context(room.of(bytes_to_decode("WEBP", "RGB", size[0] * size[1])))
    with _identify(timed(stream, length, head), head, name) as image:
        pixels = image.width * image.height
        _check_size(*image.size, max_pixels)
        check_header(image, stream)
        if isinstance(image, JpegImageFile):
            data, found = _surveyed(stream)
            check_scans(found.scans, pixels)
            if not found.whole:
                raise EOFError if lacks_its_end(stream, length) else IncompleteError
            need = bytes_to_decode("JPEG", image.mode, pixels, progressive=found.progressive)
            held.enter_context(room.of(need + length))
            if found.doubt is not None and not load_in_doubt(image, data, found.doubt):
                raise IncompleteError
            return _loaded(image)
        if image.format == "JPEG2000" and lacks_its_end(stream, length):
            # OpenJPEG fills missing data instead of failing.
            raise EOFError
        if size is None:
            held.enter_context(room.of(bytes_to_decode(image.format, image.mode, pixels)))
        rgb = _loaded(image, stream)
        if has_a_hole(stream, length, pixels):
            raise IncompleteError
        return rgb


def _surveyed(stream: BinaryIO) -> tuple[bytes, Survey]:
    """The bytes and markers of a JPEG file. Keeps the stream's position."""
    position = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(position)
    return data, survey(data)


def _identify(stream: BinaryIO, head: bytes, name: str) -> ImageFile:
    """Reads the header. `Image.open` would apply Pillow's pixel limit per process; ours is per call."""
    kind = foreign_kind("", head)
    if kind:
        return _foreign(stream, kind)
    Image.init()
    prefix = head[:16]
    broken: Exception | None = None
    for format in FORMATS:
        if format not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[format]
        try:
            accepted = accept is None or accept(prefix)
        except (IndexError, struct.error):
            # The file has fewer bytes than the signature.
            accepted = False
        if isinstance(accepted, str):
            raise ImageError(Status.UNREADABLE, accepted)
        if not accepted:
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except TooSlowError:
            raise
        except Exception as error:
            # Pillow raises a KeyError for a TIFF compression that it does not know.
            unknown = format == "TIFF" and isinstance(error.__cause__, KeyError)
            if unknown or any(text in str(error) for text in _UNKNOWN):
                raise UnsupportedError(
                    f"{format} with an unsupported pixel format; save it as PNG"
                ) from error
            if format not in _WEAK_SIGNATURES:
                broken = error
    if broken is not None:
        raise broken
    kind = foreign_kind(name, head)
    if kind:
        raise UnsupportedError(advice(kind))
    raise ImageError(Status.NOT_AN_IMAGE, "not an image of a known format" + hint(name))


def _foreign(stream: BinaryIO, kind: str) -> ImageFile:
    """Reads the header of a kind that Pillow does not know."""
    if kind != HEIC or not heif.is_available():
        remedy = ", or install cmfl-export[heic]" if kind == HEIC else ""
        raise UnsupportedError(advice(kind) + remedy)
    stream.seek(0)
    return heif.open_heif(stream)


def _loaded(image: Image.Image, stream: BinaryIO | None = None) -> Image.Image:
    """Loads a picture upright and in RGB; `stream` is its file, if it has one."""
    layout = layout_of(image)
    image.load()
    method = _UPRIGHT.get(_orientation(image))
    rgb = to_rgb(Picture(image, layout, _low_bytes(layout, stream)))
    return rgb if method is None else rgb.transpose(method)


def _low_bytes(layout: Layout, stream: BinaryIO | None) -> Image.Image | None:
    if layout.low_key is None or stream is None:
        return None
    stream.seek(0)
    return low_bytes(Image.OPEN["PNG"][0](stream, ""))


def _check_length(length: int) -> None:
    if length == 0:
        raise ImageError(Status.EMPTY, "the file is empty")
    if length > MAX_FILE_BYTES:
        raise ImageError(Status.TOO_LARGE, f"{length} bytes, more than the limit of {MAX_FILE_BYTES}")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width == 0 or height == 0:
        raise ImageError(Status.EMPTY, f"the picture has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise ImageError(Status.TOO_LARGE, f"{width} x {height} pixels, more than the limit of {max_pixels}")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Broken metadata is no reason to refuse sound pixels; viewers also show them as stored.
        return 1
