"""Names: what is safe on every system, and nothing else."""

from __future__ import annotations

import pytest

from models_zoo.names import is_file_name, is_model_name, split_variant

TRICKS = [
    *("", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "C:x", "c:/x", "\\\\host\\x", "~", "~root"),
    *(
        "a..b",
        ".hidden",
        "-rf",
        "a b",
        "a\n",
        "a\0b",
        "ä",
        "a*",
        "a?",
        "$HOME",
        "a.",
        "a-",
        "%2e%2e",
        "x" * 101,
    ),
    *("con", "CON", "nul.onnx", "aux.", "com1", "LPT9.txt", "prn.tar.gz"),
]


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_are_no_names(name: str) -> None:
    assert not is_file_name(name)
    assert not is_model_name(name)


@pytest.mark.parametrize("name", ["starter", "starter-2", "a", "0", "x_1.5", "console", "com10"])
def test_names_of_models(name: str) -> None:
    assert is_model_name(name)


@pytest.mark.parametrize("name", ["Starter", "a--b", "a:int8", "starter.onnx", "x" * 65])
def test_no_names_of_models(name: str) -> None:
    assert not is_model_name(name)


@pytest.mark.parametrize("name", ["card.md", "starter-int8.onnx", "A_1.TOML", "README"])
def test_names_of_files(name: str) -> None:
    assert is_file_name(name)


def test_variants() -> None:
    assert split_variant("starter") == ("starter", None)
    assert split_variant("starter:int8") == ("starter", "int8")
    assert split_variant("starter:") == ("starter", "")
