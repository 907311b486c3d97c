"""Makes every command output and every table in README.md and docs/ anew (`make docs`), or checks them.

A block of output is a fenced block below a line `<!-- output: COMMAND -->`; it begins with `$ COMMAND`. The
commands of one document run in one scratch folder, in the order of the document, on the files of `_prepare`.
A table is what stands between `<!-- table: NAME -->` and `<!-- table: end -->`; `TABLES` names them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models_zoo.hf_parity import PARITY, parity_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "models_zoo" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MEASURED = ROOT / "docs" / "measured"  # JSON of the commands that measure, by kind of machine

_OUTPUT = re.compile(
    r"^<!-- output(?P<slow> \(slow\))?: (?P<command>[^\n]+) -->\n\n?```\w*\n(?P<text>.*?)^```$", re.M | re.S
)
_TABLE = re.compile(r"^<!-- table: (?P<name>\S+) -->\n(?P<text>.*?)^<!-- table: end -->$", re.M | re.S)
_MARKER = re.compile(r"^<!-- (?:output(?: \(slow\))?|table): (?!end -->)", re.M)

# What differs from run to run and from machine to machine: it is compared as its name.
_VOLATILE = (
    ("PATH", re.compile(r"(?<![\w.~])/[\w./-]+")),
    ("RATE", re.compile(r"\b[\d.,]+ images/s")),
    ("TIME", re.compile(r"\b[\d.]+ m?s\b")),
    ("DATE", re.compile(r"\b\d{4}-\d\d-\d\d\b")),
    ("VERSION", re.compile(r"\b\d+\.\d+\.\d+\b")),
)
_DECIMAL = re.compile(r"\d+\.\d+(?:e-?\d+)?")
_TOLERANCE = 0.01  # of other decimals, absolute and relative: runtimes and CPUs round differently
_FINE = (0, 1)  # exit codes; a failed input is 1, and may be what the document shows


class StaleError(Exception):
    """A block that is not what its source gives; the message is one line."""


@dataclass(frozen=True)
class Block:
    """A part of a document that this script writes.

    Attributes:
        where: the document, relative to the repository.
        source: the command, or the name of the table.
        start, end: the place of the text in the document.
    """

    where: str
    kind: str
    source: str
    text: str
    start: int
    end: int
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.kind} {self.source!r}"


def blocks_of(document: str, where: str) -> list[Block]:
    """The blocks of a document, in its order.

    Raises:
        StaleError: a marker without a block below it.
    """
    found = [
        Block(where, "output", m["command"], m["text"], m.start("text"), m.end("text"), bool(m["slow"]))
        for m in _OUTPUT.finditer(document)
    ]
    found += [
        Block(where, "table", m["name"], m["text"], m.start("text"), m.end("text"))
        for m in _TABLE.finditer(document)
    ]
    if len(found) != len(_MARKER.findall(document)):
        raise StaleError(f"{where}: a marker has no fenced block, or no end, below it")
    return sorted(found, key=lambda block: block.start)


def same(shown: str, made: str) -> bool:
    """Whether two texts differ only in volatile figures, spacing, and decimals within the tolerance."""
    lines = zip_longest(_masked(shown), _masked(made), fillvalue="")
    return all(_same_line(one, other) for one, other in lines)


def _masked(text: str) -> list[str]:
    for name, pattern in _VOLATILE:
        text = pattern.sub(name, text)
    return [" ".join(line.split()) for line in text.splitlines()]


def _same_line(one: str, other: str) -> bool:
    if _DECIMAL.sub("0.0", one) != _DECIMAL.sub("0.0", other):
        return False
    pairs = zip(map(float, _DECIMAL.findall(one)), map(float, _DECIMAL.findall(other)), strict=True)
    return all(abs(a - b) <= _TOLERANCE * (1 + abs(a)) for a, b in pairs)


def make(block: Block, scratch: Path) -> str:
    """The text of a block, made anew.

    Raises:
        StaleError: its command fails, or there is no such table.
    """
    if block.kind == "table":
        if block.source not in TABLES:
            raise StaleError(f"{block}: there is no such table")
        return TABLES[block.source]()
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", block.source],
        cwd=scratch,
        env=_environment(scratch),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )
    if done.returncode not in _FINE:
        last = (done.stdout.splitlines() or ["no output"])[-1]
        raise StaleError(f"{block}: exit code {done.returncode}: {last}")
    text = done.stdout.replace(f"{ROOT}/", "").replace(f"{scratch}/", "")
    return f"$ {block.source}\n" + "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _environment(scratch: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CMFL_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath)))
    return kept | {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "CMFL_CACHE": str(scratch / "cache")}


def _prepare(scratch: Path) -> None:
    """The files that the commands of a document find: photographs, folders of faces, a file of scores."""
    import skimage

    inside = Path(skimage.__file__).parent / "data"
    photos = scratch / "photos"
    photos.mkdir()
    for name in ("astronaut.png", "chelsea.png", "coffee.png"):
        shutil.copyfile(inside / name, photos / name)
    (photos / "cut.jpg").write_bytes((inside / "rocket.jpg").read_bytes()[:60_000])
    settings = PngInfo()
    settings.add_text("parameters", "a face\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (64, 64)).save(scratch / "generated.png", pnginfo=settings)

    rng = np.random.default_rng(0)
    for folder, count in (("ffhq", 60), ("flickr", 40), ("stylegan1", 70), ("stylegan2", 30)):
        (scratch / "faces" / folder).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(scratch / "faces" / folder / f"{number:03d}.png")

    with (scratch / "theirs.csv").open("w", encoding="utf-8") as stream:
        for number in range(200):
            real = number % 2
            score = 1 / (1 + np.exp(-rng.normal(1.5 if real else -1.5, 1.5)))
            stream.write(f"{number},{real},faces/{number:03d}.png,{score:.6f}\n")


def starter_table() -> str:
    """The measured figures of the starter in fp32, from its manifest, as a Markdown table."""
    text = (ROOT / "models_zoo" / "starter" / "manifest.toml").read_text(encoding="utf-8")
    columns = (("D-EER", "d_eer"), ("BPCER at APCER 5 %", "bpcer20"), ("APCER", "apcer"), ("BPCER", "bpcer"))
    lines = [
        f"| split | images | {' | '.join(head for head, _ in columns)} | AUC |",
        f"|---|---:|{'---:|' * len(columns)}---:|",
    ]
    for entry in tomllib.loads(text)["metrics"]:
        if entry["variant"] != "fp32":
            continue
        rates = " | ".join(_percent(entry[key]) for _, key in columns)
        auc = "{:.3f} [{:.3f}, {:.3f}]".format(*entry["auc"])
        images = f"{entry['real']} + {entry['synthetic']}"
        lines.append(f"| {entry['split']} | {images} | {rates} | {auc} |")
    return "\n".join(lines) + "\n"


def _percent(interval: Sequence[Any]) -> str:
    value, low, high = (100 * float(number) for number in interval)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def parity_of_the_starter() -> str:
    """The parity matrix that the starter's folder keeps, as a Markdown table."""
    return parity_table(ROOT / "models_zoo" / "starter" / PARITY, {}) + "\n"


def bench_table(name: str) -> str:
    """The speeds of a run of `cmfl bench`, from its JSON in docs/measured, as a Markdown table."""
    record = json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))
    sizes = [f"batch {size}" for size in record["settings"]["batch_sizes"]]
    lines = [
        f"| images/s | {' | '.join(sizes)} | folder | x loop | limit | p50 ms | start s | max Δp |",
        f"|---|{'---:|' * (len(sizes) + 6)}",
    ]
    for one in record["contenders"]:
        cells = [
            *(_number(_median(one, measure), "{:.1f}") for measure in (*sizes, "folder")),
            _number(one["times_the_loop"], "{:.2f}"),
            _number(one["share_of_limit"], "{:.0%}"),
            _number((one["latency_seconds"] or {}).get("p50"), "{:.0f}", 1000),
            _number(_median(one, "start-up"), "{:.1f}"),
            _number((one["difference"] or {}).get("max_abs_p"), "{:.1e}"),
        ]
        lines.append(f"| {one['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def training_table(name: str) -> str:
    """The speeds of a run of `cmfl bench --train`, from its JSON in docs/measured, as a Markdown table."""
    record = json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))
    lines = ["| images/s | alone | with the loader | x plain | limit |", "|---|---:|---:|---:|---:|"]
    for one in record["contenders"]:
        alone = "loader" if "loader" in one["measures"] else "step"
        cells = [
            _number(_median(one, alone), "{:.1f}"),
            _number(_median(one, "fed"), "{:.1f}"),
            _number(one["times_plain"], "{:.2f}"),
            _number(one["share_of_limit"], "{:.0%}"),
        ]
        lines.append(f"| {one['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _median(contender: dict[str, Any], measure: str) -> float | None:
    figures = contender["measures"].get(measure)
    return None if figures is None else float(figures["median"])


def _number(value: float | None, form: str, scale: float = 1.0) -> str:
    return "-" if value is None else form.format(scale * value)


TABLES: dict[str, Callable[[], str]] = {
    "starter": starter_table,
    "parity-avx2": parity_of_the_starter,
    "bench-avx2": partial(bench_table, "bench-avx2"),
    "bench-train-avx2": partial(training_table, "bench-train-avx2"),
}


def made(path: Path, *, quick: bool = False) -> Iterator[tuple[Block, str]]:
    """Each block of a document with its text made anew, in the order of the document.

    Args:
        path: the document.
        quick: leave out the blocks that are marked slow.
    """
    document = path.read_text(encoding="utf-8")
    where = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    blocks = [block for block in blocks_of(document, where) if not (quick and block.slow)]
    if not blocks:
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        _prepare(scratch)
        for block in blocks:
            yield block, make(block, scratch)


def check(path: Path, *, quick: bool = False) -> int:
    """How many blocks of a document were compared.

    Raises:
        StaleError: names the first one that differs.
    """
    compared = 0
    for block, text in made(path, quick=quick):
        if not same(block.text, text):
            raise StaleError(f"{block} is not what it gives now; run: make docs")
        compared += 1
    return compared


def renew(path: Path) -> int:
    """Writes each block of a document whose text differs; returns how many there are.

    What differs in volatile figures alone stays as it is.
    """
    document = path.read_text(encoding="utf-8")
    pairs = list(made(path))
    for block, text in reversed(pairs):
        if not same(block.text, text):
            document = document[: block.start] + text + document[block.end :]
    path.write_text(document, encoding="utf-8")
    return len(pairs)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the outputs and tables in README.md and docs/ anew.")
    parser.add_argument("--check", action="store_true", help="Only compare; exit code 1 where one differs.")
    parser.add_argument("--quick", action="store_true", help="With --check: leave out the slow ones.")
    parser.add_argument("documents", nargs="*", type=Path, help="By default README.md and docs/.")
    arguments = parser.parse_args()
    if arguments.quick and not arguments.check:
        parser.error("--quick goes with --check")
    documents = [path.resolve() for path in arguments.documents] or list(DOCUMENTS)

    def one(path: Path) -> int | StaleError:
        try:
            return check(path, quick=arguments.quick) if arguments.check else renew(path)
        except StaleError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, documents))
    for result in results:
        if isinstance(result, StaleError):
            print(result, file=sys.stderr)
    print(f"{sum(r for r in results if isinstance(r, int))} blocks in {len(documents)} documents")
    return int(any(isinstance(result, StaleError) for result in results))


if __name__ == "__main__":
    sys.exit(main())
