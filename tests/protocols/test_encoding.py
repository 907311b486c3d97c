from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from cmfl_export.faces.align_folder import align_to
from protocols.encoding import read_encoding
from tests.cmfl_export.photographs import astronaut
from tests.conftest import picture


def saved(image: Image.Image | None = None, form: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(picture(0, 48))).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 80, 90, 95, 99, 100])
def test_the_jpeg_quality_is_the_one_it_was_saved_with(quality: int) -> None:
    found = read_encoding(saved(quality=quality))
    assert (found.jpeg_quality, found.jpeg_tables) == (quality, str(quality))


def test_a_grey_jpeg_has_a_quality_and_no_chroma() -> None:
    found = read_encoding(saved(Image.fromarray(picture(0, 48)).convert("L"), quality=80))
    assert (found.mode, found.jpeg_quality, found.jpeg_tables, found.chroma) == ("L", 80, "80", "grey")


def tables(quality: int) -> list[list[int]]:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(saved(quality=quality))) as image:
        return [list(table) for table in image.quantization.values()]


def test_tables_of_another_encoder_are_named_with_the_nearest_quality() -> None:
    flat = read_encoding(saved(qtables=[[16] * 64, [20] * 64]))
    assert flat.jpeg_tables == f"~{flat.jpeg_quality} #{flat.jpeg_digest}"
    other = read_encoding(saved(qtables=[[16] * 64, [21] * 64]))
    assert other.jpeg_tables != flat.jpeg_tables


def test_rounding_in_one_entry_is_the_same_quality_with_another_digest() -> None:
    luminance, chrominance = tables(75)
    chrominance[0] -= 1
    rounded = read_encoding(saved(qtables=[luminance, chrominance]))
    usual = read_encoding(saved(quality=75))
    assert rounded.jpeg_tables == usual.jpeg_tables == "75"
    assert rounded.jpeg_digest != usual.jpeg_digest


@pytest.mark.parametrize(("number", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_chroma_subsampling(number: int, name: str) -> None:
    assert read_encoding(saved(subsampling=number)).chroma == name


def test_metadata_and_scan_order() -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read_encoding(saved(exif=exif, icc_profile=profile, progressive=True))
    assert (found.exif, found.icc, found.progressive) == (True, True, True)
    plain = read_encoding(saved())
    assert (plain.exif, plain.icc, plain.progressive) == (False, False, False)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_png_has_its_mode_and_nothing_of_jpeg(mode: str) -> None:
    data = saved(Image.fromarray(np.zeros((20, 30, 3), np.uint8)).convert(mode), "PNG")
    found = read_encoding(data)
    assert (found.format, found.width, found.height, found.mode) == ("PNG", 30, 20, mode)
    assert found.bytes == len(data)
    assert (found.jpeg_quality, found.jpeg_tables, found.jpeg_digest, found.chroma) == (None, "", "", "")


def test_what_is_no_image_raises() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        read_encoding(b"text")


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_crops_of_cmfl_align_are_known(form: str, tmp_path: Path) -> None:
    astronaut().resize((256, 256)).save(tmp_path / "a.png")
    align_to([str(tmp_path / "a.png")], tmp_path / "out", format=form, face_scale=0.9, provider="cpu")
    assert read_encoding((tmp_path / "out" / f"a-0.{form}").read_bytes()).alignment == "scale 0.9"


def test_other_files_are_not_taken_for_crops_of_cmfl_align() -> None:
    assert read_encoding(saved()).alignment == ""
    assert read_encoding(saved(comment=b"a comment")).alignment == ""
    assert read_encoding(saved(form="GIF", comment=b"a comment")).alignment == ""
    assert read_encoding(saved(form="PNG")).alignment == ""


def test_what_the_file_says_of_its_source() -> None:
    assert read_encoding(saved()).source == ""
    exif = Image.Exif()
    exif[0x0131] = "Stable Diffusion XL"
    assert read_encoding(saved(exif=exif)).source == "Stable Diffusion"
