"""Files of every kind that a person may give to a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cmfl_export.photographs import astronaut
from tests.cmfl_export.pictures import RED, encoded, noise, png, quarters


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _deep(colour: int, channels: int) -> bytes:
    values = np.random.default_rng(0).integers(0, 65536, (230, 240, channels), dtype=np.uint16)
    values[:60] //= 257  # some are transparent in the high byte alone
    return png(240, 230, 16, colour, b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))


def _filtered() -> bytes:
    """Each row with another filter; what its differences add up to does not matter."""
    values = np.random.default_rng(1).integers(0, 256, (240, 3 * 230), dtype=np.uint8)
    return png(230, 240, 8, 2, b"".join(bytes([y % 5]) + row.tobytes() for y, row in enumerate(values)))


def _interlaced() -> bytes:
    """Adam7: seven pictures, each of the pixels at every so many columns and rows."""
    values = np.random.default_rng(2).integers(0, 256, (230, 227, 3), dtype=np.uint8)
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    rows = [
        b"\0" + row[left::across].tobytes() for left, top, across, down in passes for row in values[top::down]
    ]
    return png(227, 230, 8, 2, b"".join(rows), interlace=1)


def sound() -> dict[str, bytes]:
    """Files that the page scores as Python does, by name."""
    photo = astronaut().resize((320, 260))
    upright = photo.resize((240, 180))
    clear = photo.copy()
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 320).astype(np.uint8), (260, 1))))
    palette = photo.quantize(16)
    files = {
        "q50.jpg": encoded(photo, "JPEG", quality=50),
        "q95.jpg": encoded(photo, "JPEG", quality=95),
        "full-colour.jpg": encoded(photo, "JPEG", quality=90, subsampling=0),
        "half-colour.jpg": encoded(photo, "JPEG", quality=90, subsampling=1),
        "progressive.jpg": encoded(photo, "JPEG", quality=90, progressive=True),
        "grey.jpg": encoded(photo.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "odd.jpg": encoded(photo.resize((301, 227)), "JPEG"),
        "strip.jpg": encoded(noise(2500, 40), "JPEG"),
        "crop.jpg": encoded(photo.resize((224, 224)), "JPEG"),
        "lossy.webp": encoded(photo, "WEBP", quality=80),
        "lossless.webp": encoded(photo, "WEBP", lossless=True),
        "clear.webp": encoded(clear, "WEBP", lossless=True),
        "photo.avif": encoded(photo, "AVIF", quality=80),
        "palette.gif": encoded(palette, "GIF"),
        "clear.gif": encoded(palette, "GIF", transparency=3),
        "photo.bmp": encoded(photo, "BMP"),
        "photo.png": encoded(photo, "PNG"),
        "filters.png": _filtered(),
        "interlaced.png": _interlaced(),
        "palette.png": encoded(palette, "PNG"),
        "clear palette.png": encoded(palette, "PNG", transparency=bytes(range(0, 250, 16))),
        "grey.png": encoded(photo.convert("L"), "PNG"),
        "bits.png": encoded(photo.convert("1"), "PNG"),
        "clear.png": encoded(clear, "PNG"),
        "clear grey.png": encoded(clear.convert("LA"), "PNG"),
        "key.png": encoded(Image.fromarray(quarters()), "PNG", transparency=RED),
        "grey key.png": encoded(photo.convert("L"), "PNG", transparency=128),
        "deep grey.png": _deep(0, 1),
        "deep.png": _deep(2, 3),
        "deep clear.png": _deep(6, 4),
        "deep clear grey.png": _deep(4, 2),
        "dot.png": encoded(noise(1, 1), "PNG"),
    }
    files |= {f"turned {way}.jpg": encoded(upright, "JPEG", exif=_exif(way)) for way in range(2, 9)}
    for kind, options in (("png", {}), ("webp", {"lossless": True}), ("avif", {"quality": 90})):
        files[f"turned.{kind}"] = encoded(upright, kind.upper(), exif=_exif(6), **options)
    return files


def faulty() -> dict[str, bytes]:
    """Files that have the same status on the page as in Python."""
    photo = astronaut().resize((320, 260))
    whole = {
        "jpg": encoded(photo, "JPEG"),
        "png": encoded(photo, "PNG"),
        "webp": encoded(photo, "WEBP"),
        "gif": encoded(photo, "GIF"),
        "bmp": encoded(photo, "BMP"),
        "avif": encoded(photo, "AVIF"),
    }
    files = {f"half.{kind}": data[: len(data) // 2] for kind, data in whole.items()}
    files |= {f"short.{kind}": data[:-20] for kind, data in whole.items()}
    files |= {f"head.{kind}": data[:30] for kind, data in whole.items()}
    progressive = encoded(photo, "JPEG", progressive=True)
    changed = bytearray(whole["png"])
    changed[len(changed) // 2] ^= 0x55
    return files | {
        "few scans.jpg": progressive[: progressive.rindex(b"\xff\xda")] + b"\xff\xd9",
        "changed.png": bytes(changed),
        "text.jpg": b"not an image at all",
        "empty.png": b"",
        "bm.bmp": b"BM is how this text begins",
        "drawing.svg": b'<?xml version="1.0"?><svg/>',
        "huge.png": png(20000, 6000, 8, 2, b""),
    }


def refused() -> dict[str, bytes]:
    """Files that Python scores, HEIC with an extra, and the page does not."""
    photo = astronaut().resize((320, 260))
    clear = photo.copy()
    clear.putalpha(100)
    formats = {"p.tiff": "TIFF", "p.ppm": "PPM", "p.jp2": "JPEG2000"}
    files = {name: encoded(photo, format) for name, format in formats.items()}
    return files | {
        "clear.avif": encoded(clear, "AVIF"),
        "photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
        "photo.heif": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40),
    }


def write(files: dict[str, bytes], folder: Path) -> list[Path]:
    paths = [folder / name for name in files]
    for path, data in zip(paths, files.values(), strict=True):
        path.write_bytes(data)
    return paths
