"""The steps of the list, most important first: what no longer fits into the budget is lost least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cmfl_export

from ...base.cpu import usable_cores
from .driver import Step
from .inputs import HELD_OUT, IMAGES, PROTOCOL

ROOT = Path(cmfl_export.__file__).resolve().parents[1]
FP16 = "fp16.onnx"
_TORCH = ("torch", "torchvision")
_TRAINING = (*_TORCH, "lightning", "safetensors")
_NO_GPU = "needs a GPU"


@dataclass(frozen=True)
class Size:
    """How much is measured; lists of numbers are text, as in the commands.

    `images` are those that parity is judged on, `rows` those of an epoch.
    """

    images: int = 200
    rows: int = 4096
    batches: str = "1,8,32,64,128,256"
    file_batches: str = "64,128"
    matrices: str = "4096,8192"
    peer_batches: str = "1,64,128"
    switch_batches: str = "1,8,64"
    training_batches: str = "32,64,128"
    trained: str = "two_stream"
    seconds: float = 0.8
    rounds: int = 3
    workers: int | None = None
    compiled: bool = True


FULL = Size()
TINY = Size(
    images=4,
    rows=4,
    batches="1,2",
    file_batches="2",
    matrices="64",
    peer_batches="1",
    switch_batches="1",
    training_batches="1",
    trained="one_stream",
    seconds=0.01,
    rounds=1,
    workers=0,
    compiled=False,
)


def steps(models: Sequence[tuple[str, Path]], folder: Path, device: str, size: Size, gpus: int) -> list[Step]:
    """Returns all steps.

    Args:
        models: precision and path of exported files of one network, the fp32 file first.
        folder: for what the steps write.
        device: "cpu" or "cuda".
        size: how much is measured.
        gpus: the number of GPUs.
    """
    gpu = device == "cuda"
    files = dict(models)
    fp16 = files.get("fp16", folder / FP16)
    whole = files["fp32"]
    images, held_out, protocol = (str(folder / name) for name in (IMAGES, HELD_OUT, PROTOCOL))
    present = tuple(str(path) for path in {"fp32": whole, "fp16": fp16, **files}.values())
    seconds = str(size.seconds)
    workers = str(usable_cores() if size.workers is None else size.workers)
    cuda = "cuda" if gpu else "onnxruntime"

    def module(kind: str, name: str, limit: float, *arguments: str, **more: object) -> Step:
        path = folder / "steps" / f"{name.replace(' ', '-')}.json"
        command = ("-m", f"{__package__}.{kind}", *arguments, "--out", str(path))
        return Step(name, kind, command, limit, figures=path, **more)  # type: ignore[arg-type]

    def rates(precision: str, path: Path, provider: str, limit: float, **more: object) -> Step:
        sizes = ("--batch-sizes", size.batches, "--file-batches", size.file_batches)
        return module(
            "rates",
            f"rates {precision} {provider}",
            limit,
            *(str(path), provider, images, *sizes, "--seconds", seconds),
            **{"least": 15.0 if gpu else 5.0, "files": (path,)} | more,
        )

    def peers(name: str, ways: str, limit: float, **more: object) -> Step:
        what = (str(whole), device, ways, images, "--batch-sizes", size.peer_batches, "--seconds", seconds)
        return module("peers", name, limit, *what, **{"needs": _TORCH} | more)

    def on_gpu(reason: str = _NO_GPU) -> str:
        return "" if gpu else reason

    return [
        Step("doctor", "doctor", ("-m", "cmfl_export", "doctor"), 60),
        module("inputs", "inputs", 60, str(folder), "--images", str(size.images), "--rows", str(size.rows)),
        Step(
            "export fp16",
            "export",
            (
                *("-m", "cmfl_export", "export", str(whole), "-o", str(fp16), "--precision", "fp16"),
                # Drawn images have no classes and may lie near the threshold. Parity is judged below.
                *("--calibration", held_out, "--max-flips", "100"),
            ),
            90,
            needs=("onnx",),
            left_out="a file was given" if "fp16" in files else "",
        ),
        module(
            "products", "products", 60, device, "--sizes", size.matrices, "--seconds", seconds, needs=_TORCH
        ),
        rates("fp16", fp16, cuda, 70),
        module(
            "training",
            "training",
            120,
            *(protocol, images, device, "both,rgb", "bf16,fp32", "--batch-sizes", size.training_batches),
            *("--workers", workers, "--seconds", seconds),
            needs=_TRAINING,
            least=30.0 if gpu else 5.0,
        ),
        rates("fp32", whole, cuda, 60),
        *(rates("int8", path, cuda, 60) for precision, path in models if precision == "int8"),
        rates("fp16", fp16, "cuda-graph", 60, left_out=on_gpu()),
        module(
            "switches",
            "switches",
            60,
            *(str(fp16), device, images, "--batch-sizes", size.switch_batches),
            *("--rounds", str(size.rounds), "--seconds", seconds),
            files=(fp16,),
        ),
        Step(
            "parity",
            "parity",
            (
                *("-m", "cmfl_export", "verify", *present, "--everywhere", images),
                *("-o", str(folder / "steps" / "parity.json")),
            ),
            120,
            least=20.0 if gpu else 5.0,
            figures=folder / "steps" / "parity.json",
            if_there=(fp16,),
        ),
        module(
            "nodes",
            "nodes",
            60,
            *present,
            "--provider",
            "cuda" if gpu else "cpu",
            "--batch",
            "2",
            if_there=(fp16,),
        ),
        peers("PyTorch", "eager,channels_last", 70),
        Step(
            "tests",
            "tests",
            (
                *("-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "--rootdir", str(ROOT)),
                *("-c", str(ROOT / "pyproject.toml"), "-rs", str(ROOT / "tests" / "gpu")),
            ),
            120,
            least=20.0 if gpu else 5.0,
            needs=("pytest", *_TRAINING),
            files=(ROOT / "tests" / "gpu",),
        ),
        module(
            "train_command",
            "train command",
            100,
            *(protocol, images, "--devices", ",".join(dict.fromkeys(("1", str(gpus)))) if gpu else "1"),
            *("--architecture", size.trained, "--precision", "bf16"),
            *("--batch-size", size.training_batches.split(",")[-1], "--workers", workers),
            needs=_TRAINING,
            least=20.0 if gpu else 5.0,
        ),
        peers(
            "PyTorch compiled",
            "compile",
            150,
            least=40.0,
            left_out="" if size.compiled else "left out in a tiny run",
        ),
        # Builds an engine for each batch size, for minutes.
        rates(
            *("fp16", fp16, "tensorrt", 240),
            left_out=on_gpu(),
            least=60.0,
            optional=True,
        ),
    ]
