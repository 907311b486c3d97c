"""Content Credentials: signed by the library's own signer, trusted, altered, unread."""

from __future__ import annotations

import sys

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.provenance import C2paState, inspect

from .files import NEWSCODES, SETTINGS, certificates, exif, saved, signed, xmp

pytest.importorskip("c2pa")
ROOT = certificates()[0].decode()


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return signed(saved())


def test_signed_by_somebody(jpeg: bytes) -> None:
    found = inspect(jpeg)
    assert found.c2pa_state is C2paState.UNTRUSTED
    assert found.source_type == "trainedAlgorithmicMedia"
    assert (found.generator, found.signer) == ("Google AI", "Example Press")


@pytest.mark.parametrize(
    ("format", "mime"), [("PNG", "image/png"), ("WEBP", "image/webp"), ("TIFF", "image/tiff")]
)
def test_in_other_formats(format: str, mime: str) -> None:
    found = inspect(signed(saved(format), mime), trust_anchors=ROOT)
    assert (found.c2pa_state, found.source_type) == (C2paState.VALID, "trainedAlgorithmicMedia")


def test_a_trust_anchor_makes_it_valid(jpeg: bytes) -> None:
    assert inspect(jpeg, trust_anchors=ROOT).c2pa_state is C2paState.VALID


def test_altered_pixels_make_it_invalid_and_it_says_nothing(jpeg: bytes) -> None:
    altered = bytearray(jpeg)
    altered[-40] ^= 4
    found = inspect(bytes(altered), trust_anchors=ROOT)
    assert found.c2pa_state is C2paState.INVALID
    assert (found.source_type, found.generator, found.signer) == ("", "", "")
    assert "dataHash" in found.evidence[0].text


def test_a_damaged_manifest_is_invalid(jpeg: bytes) -> None:
    start = jpeg.index(b"c2pa.claim") + 40
    found = inspect(jpeg[:start] + bytes(64) + jpeg[start + 64 :])
    assert found.c2pa_state is C2paState.INVALID


def test_it_goes_before_what_anybody_can_write() -> None:
    packet = xmp(f'Iptc4xmpExt:DigitalSourceType="{NEWSCODES}digitalCapture"').encode()
    found = inspect(signed(saved(xmp=packet, exif=exif(b"ASCII\0\0\0" + SETTINGS.encode()))))
    assert (found.source_type, found.generator) == ("trainedAlgorithmicMedia", "Google AI")


def test_a_photograph_that_was_edited() -> None:
    data = signed(
        saved(),
        source_type=f"{NEWSCODES}digitalCapture",
        agent="Camera 7",
        actions=[{"action": "c2pa.color_adjustments"}, {"action": "c2pa.cropped"}],
    )
    found = inspect(data)
    assert (found.source_type, found.generator) == ("digitalCapture", "")
    assert found.edits == ("c2pa.color_adjustments", "c2pa.cropped")


def test_anchors_that_are_none(jpeg: bytes) -> None:
    with pytest.raises(CmflError, match="are no certificates in PEM"):
        inspect(jpeg, trust_anchors="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_without_the_package(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert inspect(jpeg).c2pa_state is C2paState.UNREAD
    assert inspect(saved()).c2pa_state is C2paState.ABSENT
