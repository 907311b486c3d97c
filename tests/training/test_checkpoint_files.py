"""Weights files that nobody vouches for: refused by their directory and header, before anything is made."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from cmfl_export.base.errors import CmflError
from training import weights
from training.checkpoint_files import check_pth, safetensors_header
from training.weights import load_weights

GOOD = save({"a": torch.zeros(2, 3), "b": torch.ones(4)}, {"cmfl": "{}"})
FUZZ = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_good_header(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(GOOD)
    assert safetensors_header(path) == ({"a": (2, 3), "b": (4,)}, {"cmfl": "{}"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends within its header"),
        (struct.pack("<Q", 2**63), "4194304 at most"),
        (struct.pack("<Q", 1000) + b"{}", "ends within its header"),
        (safetensors(b"[" * 100_000), "nested more than 32 deep"),
        (safetensors([]), "no table"),
        (safetensors(b'{"a": 1, "a": 2}'), "twice"),
        (safetensors({"__metadata__": {"cmfl": 3}}), "metadata"),
        (safetensors({"__metadata__": []}), "metadata"),
        (safetensors({"a": 3}), "no type, shape and place"),
        (safetensors({"a": {}}), "no type, shape and place"),
        (safetensors({"a": entry(0, 4, [-1])}), "no type, shape and place"),
        (safetensors({"a": entry(0, 4, [1], "X")}), "no type, shape and place"),
        (safetensors({"a": entry(0, 8, [1])}, b"12345678"), "another size"),
        (safetensors({"a": entry(0, 4, [1]), "b": entry(2, 6, [1])}, b"123456"), "overlaps"),
        (safetensors({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"0" * 12), "gap"),
        (safetensors({"a": entry(0, 4 << 40, [1 << 40])}, b"1234"), "its size"),
        (safetensors({"a": entry(0, 4, [1])}, b"1234surplus"), "its size"),
    ],
)
def test_faulty_headers(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(CmflError, match=rf"w\.safetensors is not a readable safetensors file: .*{words}"):
        load_weights(path)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ("[" * 100_000, "does not say which network"),
        ("[]", "does not say which network"),
        ('{"config": []}', "does not say which network"),
        ('{"config": {}, "metrics": 3}', "does not say which network"),
        ('{"config": {"architecture": []}}', "the configuration in it: architecture is"),
        ('{"config": {"lr": NaN}}', "the configuration in it: lr is None"),
        ('{"config": {"protocol": 3}}', "the configuration in it: protocol is 3"),
        ('{"config": {}}', "does not fit two_stream multi: keys .* missing"),
    ],
)
def test_what_it_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, about: str, words: str
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"__metadata__": {"cmfl": about}}))
    # Names and shapes decide before a tensor is read.
    monkeypatch.setattr(weights, "load_file", None)
    with pytest.raises(CmflError, match=words):
        load_weights(path)


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return stream.getvalue()


class Hostile:
    def __reduce__(self) -> Any:
        return (print, ("it ran",))


class Bomb:
    def __reduce__(self) -> Any:
        return (bytearray, (1 << 40,))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive({"a/data.pkl": b"0" * 20_000_000}, zipfile.ZIP_DEFLATED), "compressed"),
        (archive({"a/data.pkl": b"0" * 5_000_000}), "no list of tensors"),
        (archive({"a/other": b""}), "no list of tensors"),
        (archive({"a/data.pkl": b""}), "damaged"),
        (archive({"a/data.pkl": pickle.dumps(Hostile(), 2)}), "it refers to"),
        (archive({"a/data.pkl": pickle.dumps(Hostile(), 4)}), "it refers to code"),
        (archive({"a/data.pkl": pickle.dumps(Bomb(), 2)}), "it refers to"),
        (archive({"a/data.pkl": pickle.dumps({"state_dict": {}}, 2)}), "PyTorch cannot read its tensors"),
        (archive({f"{n}": b"" for n in range(20_001)}), "20000 at most"),
        (b"", "is damaged, or not of torch.save"),
        (b"PK\x03\x04" + b"x" * 100, "is damaged, or not of torch.save"),
        (pickle.dumps({"state_dict": {}}), "is damaged, or not of torch.save"),
    ],
)
def test_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CmflError, match=rf"w\.pth is not a checkpoint .*{words}") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "state",
    [{1: torch.zeros(1)}, {"a": torch.zeros(1, dtype=torch.complex64)}, {"a": 3}, [torch.zeros(1)]],
)
def test_what_is_no_list_of_tensors(tmp_path: Path, state: Any) -> None:
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(CmflError, match=r"no state_dict of tensors|it refers to"):
        load_weights(tmp_path / "w.pth")


def test_a_plain_checkpoint_passes(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "state_dict": {"a": torch.zeros(2)}}, tmp_path / "w.pth")
    check_pth(tmp_path / "w.pth")


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_headers_that_were_changed(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(GOOD)
    for at, byte in changes:
        content[at] = byte
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with suppress(CmflError):
        safetensors_header(path)


@FUZZ
@given(st.data())
def test_checkpoints_that_were_changed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "w.pth"
    torch.save({"state_dict": {"a": torch.zeros(2)}}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CmflError):
        weights._read_official(path)
