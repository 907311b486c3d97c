"""What is printed for a person cannot steer a terminal, whoever chose the names in it."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from PIL import Image

from cmfl_export.runtime.card import METADATA_KEY, ModelCard
from tests.cmfl_export import tiny_model
from tests.cmfl_export.command import CMFL, cmfl

# Colours, a title, a C1 control, right to left, a line end, and rich's markup, which is only text.
HOSTILE = "a\x1b[31m\x1b]0;t\x07\x9b2J\u202egpj\u2066\u200b\r[red]b"


def is_plain(text: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in text if letter != "\n")


def on_terminal(*arguments: object) -> str:
    """What a command shows on a terminal that is standard output and standard error."""
    main, side = pty.openpty()
    with subprocess.Popen([CMFL, *map(str, arguments)], stdout=side, stderr=side) as process:
        os.close(side)
        shown = b""
        try:
            while chunk := os.read(main, 4096):
                shown += chunk
        except OSError:  # how Linux says that the other side has gone
            pass
        process.wait(timeout=300)
    os.close(main)
    return shown.decode(errors="surrogateescape").replace("\r\n", "\n")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model whose card tries it."""
    model = tiny_model.build()
    card = replace(
        tiny_model.card(), name=HOSTILE, data=HOSTILE, metrics={HOSTILE: HOSTILE}, training={"x": [HOSTILE]}
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    path = tmp_path / "hostile.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_cards(hostile: Path, options: list[str]) -> None:
    done = cmfl("show", hostile, *options)
    assert done.returncode == 0
    assert is_plain(done.stdout)
    assert "[red]b" in done.stdout
    if options:
        assert ModelCard.from_json(done.stdout).name == HOSTILE


@pytest.mark.parametrize(
    "command", [["show"], ["predict"], ["zoo", "show"], ["zoo", "add"], ["protocol", "check"]]
)
def test_errors(command: list[str]) -> None:
    done = cmfl(*command, f"{HOSTILE}/absent.onnx")
    assert done.returncode == 2
    assert is_plain(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_rows_on_a_terminal_and_in_a_file(tmp_path: Path, format: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (224, 224)).save(folder / "plain.png")
    shutil.copy(folder / "plain.png", folder / f"{HOSTILE}.png")
    os.link(folder / "plain.png", os.fsencode(folder) + b"/byte\xff.png")
    model = tiny_model.write(tmp_path / "m.onnx")
    shown = on_terminal("predict", model, folder, "--format", format)
    assert is_plain(shown), ascii(shown)
    assert shown.count(".png") == 3
    out = tmp_path / f"rows.{format}"
    assert cmfl("predict", model, folder, "-o", out).returncode == 0
    if format == "csv":
        # To a file every byte goes as it is, and a formula stays one: README says why.
        assert HOSTILE.encode() in out.read_bytes()
        assert b"byte\xff.png" in out.read_bytes()
