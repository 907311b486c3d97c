"""The one decoder: a file, bytes, a Pillow image or an array becomes uint8 RGB [224, 224, 3].

Training, verification and prediction all come through here, so that a picture means the same numbers in each.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from . import decode_limits, foreign, jpeg, pixel_layouts
from .containers import lacks_its_end
from .results import Status

SIZE = 224
DEFAULT_MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 1 << 29

# What the shorter side of a picture that is not aligned is brought to, before the crop.
UNALIGNED_SIZE = 256

# Beyond this ratio of the sides only the part that the crop keeps is resized: a strip of 1 x 10,000 would
# otherwise become 224 x 2,240,000.
EXTREME_RATIO = 8

# What photographs come in (JPEG covers MPO). The rest of what Pillow reads is attack surface.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
# A text may begin with these formats' one or two letters, so a bad header after them means "no image at all".
_WEAK_SIGNATURES = {"BMP", "PPM"}

# EXIF orientation -> what turns the stored picture upright.
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

# How Pillow says that it has no mode for the samples of a sound file.
_NO_PIXEL_FORMAT = re.compile(
    r"unknown pixel mode|unknown data organization|Unsupported BMP pixel depth", re.I
)

# What Pillow warns of (corrupt metadata, its own idea of a large picture) is in the status or of no matter.
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]
ImageLike = str | os.PathLike[str] | bytes | Image.Image | Pixels


class ImageError(Exception):
    """A picture that cannot be scored: `status` is why, `message` one short line without the path."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def decode(source: ImageLike, *, aligned: bool = True, max_pixels: int = DEFAULT_MAX_PIXELS) -> Pixels:
    """The picture as the model takes it: uint8 [224, 224, 3], RGB, 0..255, contiguous and writable.

    `source` and the errors are those of `open_rgb`; the geometry is that of `fit`. Thread-safe.
    """
    return np.array(fit(open_rgb(source, max_pixels=max_pixels), aligned=aligned))


def open_rgb(source: ImageLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """The picture at its full size, mode RGB, upright by its EXIF orientation, first frame of an animation.

    Args:
        source: a path, the bytes of a file, a Pillow image (left as it is), or a uint8 array [H, W, 3] RGB or
            [H, W] grey.
        max_pixels: larger pictures are refused from their header, before anything is decoded. (Pillow itself
            refuses TIFF and WebP above twice `PIL.Image.MAX_IMAGE_PIXELS`, 179 million by default.)

    Transparent pictures are laid over white, the background that viewers and web pages show them on. 16-bit
    grey (and Pillow's mode I) is divided by 257 and rounded; 16-bit colour keeps its high byte; floating
    point is 0..1, and clipped. What Pillow would decode wrongly is refused (see `pixel_layouts`), as is a
    file above 512 MiB, or a picture that takes too long (see `decode_limits`).

    Raises:
        ImageError: the picture cannot be scored; nothing else leaves this function for a bad picture.
        TypeError: `source` is of another type, or an array of another dtype or shape.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    with _as_image_error():
        if isinstance(source, Image.Image):
            _check_size(*source.size, max_pixels)
            source.load()
            return _upright(source, pixel_layouts.to_rgb(pixel_layouts.Picture(source)))
        if isinstance(source, bytes):
            return _from_stream(io.BytesIO(source), len(source), max_pixels, "")
        if isinstance(source, str | os.PathLike):
            return _from_path(os.fspath(source), max_pixels)
    raise TypeError(
        f"a picture is a path, bytes, a Pillow image or a uint8 array, not {type(source).__name__}"
    )


def fit(image: Image.Image, *, aligned: bool) -> Image.Image:
    """The geometry: shorter side to 224 (aligned) or 256 (not aligned), then the central 224 x 224.

    Pillow's antialiased bilinear filter and torchvision's rounding: the result is that of torchvision's
    Resize + CenterCrop on a Pillow image, and an aligned picture of 224 x 224 passes untouched. Beyond an
    aspect ratio of 8 only the part that the crop keeps is resized, so that memory stays bounded; a value may
    then differ by 1.
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
    """The whole picture with its shorter side of this length, as torchvision's Resize on a Pillow image."""
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


def _from_path(path: str, max_pixels: int) -> Image.Image:
    if not path:
        raise ImageError(Status.NOT_FOUND, "the path is empty")
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except ValueError as error:
        # A NUL, or characters that the file system has no bytes for.
        raise ImageError(Status.NOT_FOUND, "no file can have this name") from error
    if stat.S_ISDIR(mode):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ImageError(Status.PERMISSION_DENIED, "the folder may not be read")
        raise ImageError(Status.NOT_A_FILE, "a folder, not an image file")
    if not stat.S_ISREG(mode):
        # Opening a named pipe or a device could block for ever.
        raise ImageError(Status.NOT_A_FILE, "not a regular file")
    with file.open("rb") as stream:
        return _from_stream(stream, os.fstat(stream.fileno()).st_size, max_pixels, file.name)


def _from_stream(stream: BinaryIO, length: int, max_pixels: int, name: str) -> Image.Image:
    if length == 0:
        raise ImageError(Status.EMPTY, "the file is empty")
    if length > MAX_FILE_BYTES:
        raise ImageError(Status.TOO_LARGE, f"{length} bytes, more than the limit of {MAX_FILE_BYTES}")
    head = stream.read(32)
    stream.seek(0)
    canvas = decode_limits.webp_pixels(head)
    try:
        if canvas is None:
            with _identify(stream, length, head, name) as image:
                return _decoded(image, stream, length, max_pixels)
        # Opening a WebP file takes the memory of its canvas already.
        _check_size(*canvas, max_pixels)
        size = decode_limits.bytes_to_decode("WEBP", "RGBA", canvas[0] * canvas[1])
        with decode_limits.room.of(size), _identify(stream, length, head, name) as image:
            _check_size(*image.size, max_pixels)
            return _loaded(image, stream, length)
    except (ImageError, pixel_layouts.UnsupportedError, decode_limits.TooSlowError):
        raise
    except Exception as error:
        if lacks_its_end(stream, length):
            raise EOFError from error
        raise


def _decoded(image: ImageFile, stream: BinaryIO, length: int, max_pixels: int) -> Image.Image:
    """The picture of a header, when what its data will take has been looked at."""
    _check_size(*image.size, max_pixels)
    decode_limits.check_header(image, stream)
    pixels = image.width * image.height
    if not isinstance(image, JpegImageFile):
        with decode_limits.room.of(decode_limits.bytes_to_decode(image.format, image.mode, pixels)):
            return _loaded(image, stream, length)
    stream.seek(0)
    data = stream.read()
    found = jpeg.survey(data)
    decode_limits.check_scans(found.scans, pixels)
    stream.seek(0)
    size = decode_limits.bytes_to_decode(image.format, image.mode, pixels, progressive=found.progressive)
    with decode_limits.room.of(size):
        if not found.whole or (found.doubt and not jpeg.load_in_doubt(image, data, found.doubt)):
            raise EOFError
        return _loaded(image, stream, length)


def _loaded(image: ImageFile, stream: BinaryIO, length: int) -> Image.Image:
    """The picture as upright RGB."""
    if image.format == "JPEG2000" and lacks_its_end(stream, length):
        # OpenJPEG fills up what is missing instead of failing.
        raise EOFError
    layout = pixel_layouts.layout_of(image)
    low = None
    if layout.low_key is not None:
        stream.seek(0)
        factory, _ = Image.OPEN[image.format or ""]
        low = pixel_layouts.low_bytes(factory(stream, ""))
        stream.seek(0)
    image.load()
    return _upright(image, pixel_layouts.to_rgb(pixel_layouts.Picture(image, layout, low)))


def _identify(stream: BinaryIO, length: int, head: bytes, name: str) -> ImageFile:
    """Reads the header. `Image.open` would apply Pillow's process-wide pixel limit here; ours is per call."""
    Image.init()
    prefix = head[:16]
    timed = decode_limits.timed(stream, length, head)
    broken: Exception | None = None
    for format in FORMATS:
        if format not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[format]
        try:
            accepted = accept is None or accept(prefix)
        except (IndexError, struct.error):
            # Fewer bytes than the signature has.
            accepted = False
        if isinstance(accepted, str):
            raise ImageError(Status.UNREADABLE, accepted)
        if not accepted:
            continue
        stream.seek(0)
        try:
            return factory(timed, "")
        except decode_limits.TooSlowError:
            raise
        except Exception as error:
            if format not in _WEAK_SIGNATURES:
                broken = error
    kind = foreign.foreign_kind(name, prefix)
    if kind:
        raise ImageError(Status.UNSUPPORTED, foreign.advice(kind))
    if broken is not None:
        raise broken
    if name.lower().endswith(".onnx"):
        raise ImageError(Status.NOT_AN_IMAGE, "a model, not an image; give it first, or with --model")
    raise ImageError(Status.NOT_AN_IMAGE, "not an image of a known format")


def _upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(image))
    return rgb if method is None else rgb.transpose(method)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width == 0 or height == 0:
        raise ImageError(Status.EMPTY, f"the picture has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise ImageError(Status.TOO_LARGE, f"{width} x {height} pixels, more than the limit of {max_pixels}")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Broken metadata is no reason to refuse sound pixels; viewers show them as stored, too.
        return 1


@contextmanager
def _as_image_error() -> Iterator[None]:
    """Pillow's plugins raise whatever their parsing stumbles over; a caller gets one class and a status."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        status, message = _explain(error)
        raise ImageError(status, message) from error


def _explain(error: Exception) -> tuple[Status, str]:
    text = " ".join(str(error).split()) or type(error).__name__
    result = Status.UNREADABLE, f"damaged image data ({text[:100]})"
    match error:
        case FileNotFoundError(filename=str() as name) if Path(name).is_symlink():
            result = Status.NOT_FOUND, "broken symbolic link"
        case FileNotFoundError() | NotADirectoryError():
            result = Status.NOT_FOUND, "no such file"
        case PermissionError():
            result = Status.PERMISSION_DENIED, "permission denied"
        case OSError(errno=int() as number):
            result = Status.UNREADABLE, os.strerror(number).lower()
        case pixel_layouts.UnsupportedError():
            result = Status.UNSUPPORTED, f"unsupported pixel format: {text}"
        case decode_limits.TooSlowError():
            result = Status.TOO_SLOW, text
        case SyntaxError() | OSError() if _NO_PIXEL_FORMAT.search(text):
            result = Status.UNSUPPORTED, "unsupported pixel format: save it with 8 or 16 bits per channel"
        case MemoryError():
            result = Status.TOO_LARGE, "not enough memory to decode it"
        case Image.DecompressionBombError():
            result = Status.TOO_LARGE, "larger than Pillow decodes"
        case EOFError() | SyntaxError(__cause__=EOFError()):
            result = Status.TRUNCATED, "the file ends too early"
        case OSError() if "truncated" in text.lower():
            result = Status.TRUNCATED, "the file ends too early"
    return result
