"""The audit on measurements made by hand: no pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.encoding import Encoding
from protocols.shortcuts import Audited, Level, Separation, audit
from protocols.traces import Traces

ENCODING = Encoding("JPEG", 224, 224, 9000, "RGB", 75, "75", "aaaaaa", "4:2:0", False, False, False)
RNG = np.random.default_rng(0)


def image(number: int, attack: str, split: str = "train", **header: Any) -> Audited:
    traces = Traces(
        radial=RNG.normal(size=31),
        thumbnail=RNG.normal(size=192),
        resampling=float(RNG.normal(4, 1)),
        period="none",
        blocks=float(RNG.normal(1.5, 0.1)),
        grid="0,0",
        grey=False,
    )
    encoding = replace(ENCODING, bytes=int(RNG.normal(9000, 500)), **header)
    return Audited(split, f"{attack}{number}", attack, encoding, traces)


def fair(count: int = 60, split: str = "train") -> list[Audited]:
    return [image(number, attack, split) for attack in ("", "gan") for number in range(count)]


def result(found: list[Separation], name: str, attack: str = "") -> Separation:
    (one,) = (one for one in found if one.property == name and one.attack_type == attack)
    return one


def with_header(images: list[Audited], attack: str, share: float = 1.0, **header: Any) -> list[Audited]:
    """The same, `share` of one class with other header fields."""
    members = [number for number, one in enumerate(images) if one.attack_type == attack]
    changed = set(members[: round(share * len(members))])
    return [
        replace(one, encoding=replace(one.encoding, **header)) if number in changed else one
        for number, one in enumerate(images)
    ]


def test_classes_made_alike_pass() -> None:
    assert {one.level for one in audit(fair())} == {Level.OK}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"width": 225}, "resolution"),
        ({"width": 448, "height": 448}, "resolution"),
        ({"width": 448}, "aspect ratio"),
        ({"format": "PNG"}, "file format"),
        ({"jpeg_quality": 80, "jpeg_tables": "80"}, "JPEG quality"),
        ({"jpeg_tables": "~75 #123456"}, "JPEG quality"),
        ({"chroma": "4:4:4"}, "chroma subsampling"),
        ({"mode": "L"}, "colour mode"),
        ({"icc": True}, "ICC profile"),
    ],
)
@pytest.mark.parametrize("attack", ["", "gan"])
def test_a_file_property_of_one_class_is_a_shortcut(header: dict[str, Any], name: str, attack: str) -> None:
    found = audit(with_header(fair(), attack, **header))
    assert result(found, name).level is Level.SHORTCUT
    assert result(found, name).auc == 1.0
    assert result(found, name).real != result(found, name).synthetic
    assert result(found, "file properties together").level is Level.SHORTCUT


@pytest.mark.parametrize(
    "header", [{"exif": True}, {"progressive": True}, {"jpeg_digest": "bbbbbb"}, {"alignment": "scale 0.8"}]
)
def test_what_no_network_reads_is_a_warning(header: dict[str, Any]) -> None:
    levels = {one.level for one in audit(with_header(fair(), "gan", **header))}
    assert levels == {Level.OK, Level.WEAK}


def test_a_fifth_of_a_class_is_a_shortcut_and_a_few_images_are_none() -> None:
    images = fair(400)
    assert result(audit(with_header(images, "", 0.25, mode="L")), "colour mode").level is Level.SHORTCUT
    assert result(audit(with_header(images, "", 0.02, mode="L")), "colour mode").level is Level.OK


def test_properties_that_only_together_tell_the_class() -> None:
    images = with_header(with_header(fair(), "", 0.5, chroma="4:4:4"), "gan", 0.5, chroma="4:4:4")
    swapped = [
        replace(one, encoding=replace(one.encoding, jpeg_quality=90, jpeg_tables="90"))
        if (one.encoding.chroma == "4:4:4") == (not one.attack_type)
        else one
        for one in images
    ]
    found = audit(swapped)
    assert result(found, "JPEG quality").level is result(found, "chroma subsampling").level is Level.OK
    assert result(found, "file properties together").level is Level.SHORTCUT


def test_one_generator_of_three_is_enough() -> None:
    images = fair(300) + [image(number, attack) for attack in ("diffusion", "vae") for number in range(30)]
    found = audit(with_header(images, "vae", jpeg_quality=95, jpeg_tables="95"))
    assert result(found, "JPEG quality").level is not Level.SHORTCUT
    assert result(found, "JPEG quality", "vae").level is Level.SHORTCUT
    assert result(found, "JPEG quality", "diffusion").level is Level.OK
    assert found[0].attack_type == "vae"


@pytest.mark.parametrize(
    ("name", "field", "shift", "level"),
    [
        ("31 radial spectrum bins", "radial", 6.0, Level.SUSPICIOUS),
        ("31 radial spectrum bins", "radial", 1.8, Level.WEAK),
        ("8x8 thumbnail", "thumbnail", 6.0, Level.SUSPICIOUS),
    ],
)
def test_a_signal_warns_and_never_fails(name: str, field: str, shift: float, level: Level) -> None:
    images = []
    for one in fair(200):
        values = getattr(one.traces, field).copy()
        values[7] += shift * (not one.attack_type)
        images.append(replace(one, traces=replace(one.traces, **{field: values})))
    assert result(audit(images), name).level is level


def test_every_split_is_audited_by_itself_worst_first() -> None:
    found = audit(fair(split="train") + with_header(fair(split="dev"), "gan", format="PNG"))
    assert {(one.split, one.level) for one in found if one.property == "file format"} == {
        ("train", Level.OK),
        ("dev", Level.SHORTCUT),
    }
    assert found[0].split == "dev"


def test_a_class_with_too_few_images_is_not_audited() -> None:
    assert audit(fair(9)) == []
    assert audit([one for one in fair() if one.attack_type]) == []
    assert audit([]) == []


def test_ten_images_of_a_class_give_no_false_alarm() -> None:
    assert {one.level for one in audit(fair(10))} <= {Level.OK, Level.WEAK}
