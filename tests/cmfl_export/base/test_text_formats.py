"""Texts that nobody vouches for: a value or a FormatError, in bounded time and memory."""

from __future__ import annotations

import json
import tomllib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmfl_export.base.errors import CmflError
from cmfl_export.base.text_formats import FormatError, decoded, load_json, load_toml, read_bytes
from cmfl_export.runtime.card import ModelCard
from models_zoo.manifest import Manifest
from tests.bounds import ending

FUZZ = settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
# What steers a parser, in any order.
TOML_BITS = st.lists(
    st.sampled_from(
        [*"abe1.=[]{},\"'\\#\n \t-_+:", '"""', "'''", "nan", "0x", "1979-05-27", "\r\n", "\x00", "é"]
    ),
    max_size=60,
).map("".join)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 100_000, "nested more than"),
        (b'{"a":' * 100_000, "nested more than"),
        (b"9" * 5000, "digits"),
        (b"-" + b"9" * 25, "digits"),
        (b"1e999", "finite"),
        (b"NaN", "finite"),
        (b"[-Infinity]", "finite"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b"\xff", "not UTF-8"),
        (b'"\x00"', "zero byte"),
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b'"' + b"\\" * 2_000_001, "not JSON"),
        (b"[" * 33 + b'"\\"' * 500_000, "nested more than|not JSON"),
    ],
)
def test_json(data: bytes, words: str) -> None:
    refused_soon(load_json, data, words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a." * 20_000 + b"a = 1", "parts between dots"),
        (b'"a" . ' * 9 + b"b = 1", "parts between dots"),
        (b"[" + b"a . " * 9 + b"b]", "parts between dots"),
        (b"x = {" + b"'a'." * 9 + b"b = 1}", "parts between dots"),
        (b"a = " + b"[" * 20_000, "nested more than"),
        (b"a = " + b"{a = " * 20_000, "nested more than"),
        (b"a = " + b"9" * 5000, "too many digits"),
        (b"a = 0x" + b"f" * 5000, "more than 64 bits"),
        (b"a = [1, 99999999999999999999]", "more than 64 bits"),
        (b"a = 1\na = 2", "not TOML"),
        (b"a = \x00", "zero byte"),
        (b"\xff", "not UTF-8"),
        (b"#" * 300_000, "more than 262144 bytes"),
        (b'a = """' + b'\\"' * 100_000, "not TOML"),
        (b'"' * 250_001, "not TOML"),
        (b"a" * 250_000, "not TOML"),
        (b"'" + b"''" * 100_000, "not TOML"),
    ],
)
def test_toml(data: bytes, words: str) -> None:
    refused_soon(load_toml, data, words)


def refused_soon(load: Any, data: bytes, words: str) -> None:
    tracemalloc.start()
    try:
        with ending(), pytest.raises(FormatError, match=words) as caught:
            load(data)
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_is_allowed() -> None:
    assert load_json(b'\xef\xbb\xbf{"a": [1, 2.5, "\\udc80"]}') == {"a": [1, 2.5, "\udc80"]}
    assert load_json("[NaN]", lenient=True) == [None]
    text = (
        "\ufeffa.b = 1.5 # a.b.c.d.e.f.g.h.i.j\n[x]\ns = 'a.b.c.d.e.f.g.h.i.j'\nt = [[1], {y = '''\n'''}]\n"
    )
    assert load_toml(text.encode())["x"]["s"].count(".") == 9
    assert decoded(b"abc") == "abc"


@FUZZ
@given(VALUES)
def test_json_that_python_writes_is_read(value: Any) -> None:
    assert load_json(json.dumps(value)) == value


@FUZZ
@given(TOML_BITS)
def test_toml_is_what_tomllib_reads_or_refused(text: str) -> None:
    try:
        read = load_toml(text.encode())
    except FormatError:
        return
    assert str(read) == str(tomllib.loads(text))


@FUZZ
@given(st.binary(max_size=200) | TOML_BITS.map(str.encode))
def test_manifests_of_any_bytes(data: bytes) -> None:
    with pytest.raises(CmflError):
        Manifest.parse(data, "m.toml")


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["name", "outputs", "threshold", "temperature", "calibration", "history", "versions",
                         "precision", "aligned", "spectra", "architecture", "schema", "metrics", "licence"]),
        VALUES, min_size=1, max_size=3,
    )
)  # fmt: skip
def test_cards_with_any_values(values: dict[str, Any]) -> None:
    """A card that is read can be shown and written, and decides by a threshold that there is."""
    good = json.loads(ModelCard("m", "one_stream", "rgb", True, ("p_real",)).to_json())
    try:
        card = ModelCard.from_json(json.dumps(good | values))
    except CmflError:
        return
    assert 0 <= card.threshold <= 1
    assert 0 <= card.calibrated(0.3) <= 1
    assert card.lines()
    assert ModelCard.from_json(card.to_json()).to_json() == card.to_json()


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 11)
    assert read_bytes(path, 11, "the thing") == b"x" * 11
    with pytest.raises(CmflError, match=r"big has more than 10 bytes, so it is not the thing"):
        read_bytes(path, 10, "the thing")
    for bad in (tmp_path / "absent", tmp_path, Path("a\0b")):
        with pytest.raises(CmflError, match=r"the thing .* cannot be read: "):
            read_bytes(bad, 10, "the thing")
