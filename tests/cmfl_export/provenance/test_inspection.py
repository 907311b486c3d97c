"""What files say: by standard, format and generator, and nothing where there is nothing."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cmfl_export.provenance import C2paState, Provenance, Statement, inspect

from .files import NODES, SETTINGS, TRAINED, exif, png, saved, xmp


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000"])
def test_a_plain_file_says_nothing(format: str) -> None:
    found = inspect(saved(format))
    assert found == Provenance(encoder="75" if format == "JPEG" else "")


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", saved()[:300]])
def test_what_is_no_whole_picture_says_nothing_and_raises_nothing(data: bytes) -> None:
    assert inspect(data).c2pa_state is C2paState.ABSENT


class TestSourceType:
    PACKET = xmp(f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"')

    @pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF"])
    def test_of_xmp(self, format: str) -> None:
        options = (
            {"tiffinfo": {700: self.PACKET.encode()}} if format == "TIFF" else {"xmp": self.PACKET.encode()}
        )
        found = inspect(saved(format, **options))
        assert found.source_type == "trainedAlgorithmicMedia"
        assert found.evidence == (Statement("XMP", "DigitalSourceType", TRAINED),)

    def test_of_a_png(self) -> None:
        assert inspect(png(_xmp=self.PACKET)).source_type == "trainedAlgorithmicMedia"

    @pytest.mark.parametrize(
        "element",
        [
            f"<Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:DigitalSourceType>",
            f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{TRAINED}"/>',
        ],
    )
    def test_of_an_element(self, element: str) -> None:
        assert inspect(png(_xmp=xmp(elements=element))).source_type == "trainedAlgorithmicMedia"

    def test_an_unknown_term_is_none(self) -> None:
        packet = xmp('Iptc4xmpExt:DigitalSourceType="http://example.org/mostlyHarmless"')
        assert inspect(png(_xmp=packet)).source_type == ""

    def test_entities_are_not_read(self) -> None:
        bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        assert inspect(png(_xmp=bomb + self.PACKET)).source_type == ""


class TestGenerator:
    @pytest.mark.parametrize(
        ("data", "generator"),
        [
            (png(parameters=SETTINGS), "Stable Diffusion web UI"),
            (png(prompt=NODES), "ComfyUI"),
            (png(workflow='{"nodes": [], "version": 0.4}'), "ComfyUI"),
            (png(invokeai_metadata="{}"), "InvokeAI"),
            (png(Software="NovelAI", Source="NovelAI Diffusion V3"), "NovelAI"),
            (png(Description="a face --ar 1:1 Job ID: 01234567-89ab-cdef-0123-456789abcdef"), "Midjourney"),
            (saved(exif=exif(b"UNICODE\0" + SETTINGS.encode("utf-16-be"))), "Stable Diffusion web UI"),
            (saved(exif=exif(b"UNICODE\0" + SETTINGS.encode("utf-16-le"))), "Stable Diffusion web UI"),
            (saved(exif=exif(b"ASCII\0\0\0" + SETTINGS.encode())), "Stable Diffusion web UI"),
            (saved("WEBP", exif=exif(make=f"prompt:{NODES}")), "ComfyUI"),
            (saved(comment=SETTINGS), "Stable Diffusion web UI"),
            (saved(exif=exif(software="Black Forest Labs FLUX.1")), "FLUX"),
            (png(_xmp=xmp('xmp:CreatorTool="Adobe Firefly"')), "Adobe Firefly"),
            (png(_xmp=xmp('Iptc4xmpExt:AISystemUsed="ChatGPT"')), "OpenAI"),
        ],
    )
    def test_is_named(self, data: bytes, generator: str) -> None:
        found = inspect(data)
        assert found.generator == generator
        assert found.evidence

    @pytest.mark.parametrize(
        "data",
        [
            png(Description="The Gemini capsule, photographed in Firefly, Nevada", Title="Midjourney"),
            png(prompt="what the photographer was told"),
            png(parameters="f/8, 1/125 s"),
            saved(exif=exif(make="Canon", model="Canon EOS 5D", software="Digital Photo Professional")),
        ],
    )
    def test_words_elsewhere_name_none(self, data: bytes) -> None:
        assert inspect(data).generator == ""

    def test_a_text_behind_the_pixels_counts(self) -> None:
        data = png(parameters=SETTINGS)
        start = data.index(b"tEXt") - 4
        length = int.from_bytes(data[start : start + 4], "big") + 12
        chunk, end = data[start : start + length], data.index(b"IEND") - 4
        moved = data[:start] + data[start + length : end] + chunk + data[end:]
        assert inspect(moved).generator == "Stable Diffusion web UI"

    def test_a_text_that_unpacks_to_too_much_is_cut(self) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("parameters", "x" * 5_000_000 + SETTINGS, zip=True)
        assert inspect(saved("PNG", pnginfo=info)).generator == ""


def test_camera_software_and_edits() -> None:
    found = inspect(saved(exif=exif(make="Canon", model="Canon EOS 5D", software="GIMP 2.10"), quality=80))
    assert (found.camera, found.software, found.edits) == ("Canon EOS 5D", "GIMP 2.10", ("GIMP",))
    assert found.encoder == "80"


def test_a_heic_file() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    image = Image.new("RGB", (64, 64))
    packet = xmp(f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"').encode()
    pillow_heif.from_pillow(image).save(
        stream, exif=exif(make="Apple", model="iPhone 15").tobytes(), xmp=packet
    )
    found = inspect(stream.getvalue())
    assert (found.camera, found.source_type) == ("Apple iPhone 15", "trainedAlgorithmicMedia")


def test_the_history_of_xmp() -> None:
    history = (
        "<xmpMM:History><rdf:Seq><rdf:li stEvt:action='saved' "
        "stEvt:softwareAgent='Adobe Photoshop 24.0 (Windows)'/></rdf:Seq></xmpMM:History>"
    )
    assert inspect(png(_xmp=xmp(elements=history))).edits == ("Adobe Photoshop",)


def test_the_encoder_of_other_tables() -> None:
    assert inspect(saved(qtables=[[16] * 64, [20] * 64])).encoder.startswith("~")
