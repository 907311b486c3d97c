"""Manifests: what is written is read back, and every fault names the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from models_zoo.manifest import Manifest, Metrics, ModelFile

SHA = "0123456789abcdef" * 4
GOOD = f"""\
schema = 1
name = "mine"
version = "1.0.0"
description = "Says \\"real\\" where it is bright."
licence = "research only"
default = "fp32"

[[file]]
name = "mine.onnx"
size = 1000
sha256 = "{SHA}"
variant = "fp32"
threshold = 0.25
urls = ["https://example.org/mine.onnx"]

[[file]]
name = "card.md"
size = 10
sha256 = "{SHA}"

[[file]]
name = "recipe.toml"
size = 20
sha256 = "{SHA}"

[[metrics]]
split = "faces/eval"
variant = "fp32"
real = 5
synthetic = 6
d_eer = [0.25, 0.125, 0.5]
"""


def parse(text: str) -> Manifest:
    return Manifest.parse(text.encode(), "manifest.toml")


def test_what_it_says() -> None:
    manifest = parse(GOOD)
    weights = ModelFile("mine.onnx", 1000, SHA, "fp32", 0.25, ("https://example.org/mine.onnx",))
    assert manifest.weights == {"fp32": weights}
    assert manifest.weights_of(None) == manifest.weights_of("fp32") == weights
    assert [file.name for file in manifest.documents] == ["card.md", "recipe.toml"]
    assert manifest.metrics == (Metrics("faces/eval", "fp32", 5, 6, {"d_eer": (0.25, 0.125, 0.5)}),)
    assert manifest.description == 'Says "real" where it is bright.'


def test_what_is_written_is_read_back() -> None:
    assert parse(GOOD).to_toml() == GOOD


def test_the_default_comes_first() -> None:
    second = f'[[file]]\nname = "a.onnx"\nsize = 9\nsha256 = "{SHA}"\nvariant = "int8"\nthreshold = 1\n'
    manifest = parse(GOOD.replace("[[file]]", f"{second}\n[[file]]", 1))
    assert list(manifest.weights) == ["fp32", "int8"]
    with pytest.raises(CmflError, match="mine has no variant 'fp16'; it has: fp32, int8"):
        manifest.weights_of("fp16")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("schema = 1", "schema = 2", "schema: 2 is newer than this version reads; upgrade cmfl-export"),
        ("schema = 1", "schema = true", "schema: True must be 1"),
        ("schema = 1\n", "", "schema: None must be 1"),
        ('name = "mine"', 'name = "../mine"', "name: '../mine' must be lower-case letters and digits"),
        ('name = "mine"', 'name = "con"', "name: 'con' must be"),
        ('name = "mine"', "name = 3", "name: 3 must be a text"),
        ('version = "1.0.0"', 'version = "../1"', "version: '../1' must be like 1.0.0"),
        ('licence = "research only"', "", "licence: missing"),
        ('licence = "research only"', 'licence = "a\\u001b[0m"', "must be a text of printable characters"),
        ('default = "fp32"', 'default = "int8"', "default: no file has the variant 'int8'"),
        (
            'default = "fp32"',
            'default = "fp32"\nevil = 1',
            "evil: unknown key; the keys are default, description",
        ),
        (
            'name = "mine.onnx"',
            'name = "../mine.onnx"',
            "file 1: name: '../mine.onnx' must be the name of one",
        ),
        ('name = "mine.onnx"', 'name = "/etc/mine.onnx"', "file 1: name: '/etc/mine.onnx' must be"),
        ('name = "card.md"', "name = 'sub\\card.md'", "file 2: name: 'sub\\\\card.md' must be"),
        ('name = "card.md"', 'name = "NUL.md"', "file 2: name: 'NUL.md' must be"),
        ('name = "card.md"', 'name = "Manifest.toml"', "file 2: name: 'Manifest.toml' must be"),
        ('name = "card.md"', 'name = "Recipe.toml"', "file: name: 'recipe.toml' is there twice"),
        ('name = "card.md"', 'name = "x.md"', "file: card.md is missing"),
        ("size = 1000", "size = -1", "file 1 (mine.onnx): size: -1 must be a number of bytes from 1 to"),
        ("size = 1000", "size = 1000000000000", "size: 1000000000000 must be"),
        ("size = 10\n", "size = 100000000\n", "file 2 (card.md): size: 100000000 must be"),
        ("size = 1000", "size = true", "size: True must be"),
        (f'"{SHA}"', f'"{SHA.upper()}"', "file 1 (mine.onnx): sha256:"),
        (f'"{SHA}"', f'"{SHA[1:]}"', "must be 64 hexadecimal digits"),
        ('variant = "fp32"\nthreshold', "threshold", "variant: an .onnx file has one, and no other"),
        ('variant = "fp32"\nthreshold', 'variant = "../x"\nthreshold', "variant: '../x' must be"),
        ("threshold = 0.25", "threshold = 1.5", "threshold: 1.5 must be within 0 and 1"),
        ("threshold = 0.25", "threshold = nan", "threshold: nan must be within 0 and 1"),
        ("threshold = 0.25\n", "", "threshold: weights have one"),
        ('["https://', '["http://', "urls: ['http://example.org/mine.onnx'] must be a list of https"),
        ('["https://example.org', '["file:///', "must be a list of https"),
        ('["https://example.org/mine.onnx"]', '["https://[x"]', "must be a list of https"),
        ('"https://example.org/mine.onnx"', '"https://a b"', "must be a list of https"),
        ("size = 10\n", 'size = 10\nurls = ["https://a/b"]\n', "urls: only weights have them"),
        ('variant = "fp32"\nreal', 'variant = "int8"\nreal', "metrics: no file has the variant 'int8'"),
        ("real = 5", "real = 0", "metrics 1 (faces/eval): real: 0 must be a number of images"),
        ("[0.25, 0.125, 0.5]", "0.25", "d_eer: 0.25 must be [value, low, high]"),
        ("[0.25, 0.125, 0.5]", "[0.25, inf, 0.5]", "must be [value, low, high]"),
        ("[0.25, 0.125, 0.5]", "[0.25, 0.5, 0.125]", "ends before it starts"),
        ("[[metrics]]", "[metrics]", "metrics: must be written as [[metrics]]"),
        ("d_eer = ", '"D EER" = ', "'D EER': not the name of a metric"),
        ("schema = 1", "schema = ", "not TOML"),
        ("schema = 1", f"x = {'[' * 100_000}", "not TOML"),
    ],
)
def test_faults_name_the_file_and_the_key(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(CmflError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert str(caught.value).startswith("manifest.toml: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_ones(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match=r"x\.toml cannot be read: No such file"):
        Manifest.read(tmp_path / "x.toml")
    with pytest.raises(CmflError, match=r"manifest\.toml: not UTF-8"):
        Manifest.parse(b"\xff", "manifest.toml")
    with pytest.raises(CmflError, match="more than 262144 bytes, so it is not a manifest"):
        parse(GOOD + "#" * 300_000)


def test_many_files() -> None:
    more = "".join(f'[[file]]\nname = "{n}.txt"\nsize = 1\nsha256 = "{SHA}"\n' for n in range(70))
    with pytest.raises(CmflError, match="file: 73 files; 64 at most"):
        parse(GOOD.replace("[[metrics]]", f"{more}[[metrics]]"))
