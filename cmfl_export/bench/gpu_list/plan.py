"""The steps of the list, most important first: what no longer fits into the budget is lost least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cmfl_export

from ...base.cpu import usable_cores
from .driver import Step
from .inputs import HELD_OUT, IMAGES, PROTOCOL

ROOT = Path(cmfl_export.__file__).resolve().parents[1]
FP16 = "fp16.onnx"
_TORCH = ("torch", "torchvision")
_TRAINING = (*_TORCH, "lightning", "safetensors")
_LEAST, _LEAST_ON_GPU = 5.0, 15.0  # seconds below which a step is not begun


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
    peers: str = "eager,channels_last"
    switch_batches: str = "1,8,64"
    training_batches: str = "64,128"
    networks: str = "both,rgb"
    crop: int = 224
    precisions: str = "bf16,fp32"
    trained: str = "two_stream"
    epochs: int = 2  # of which the first one also chooses kernels
    seconds: float = 0.5
    rounds: int = 3
    workers: int | None = None
    compiled: str = "64"  # torch.compile takes most of a minute for each batch size


FULL = Size()
TINY = Size(
    images=4,
    rows=2,
    batches="1,2",
    file_batches="2",
    matrices="64",
    peer_batches="1",
    peers="eager",
    switch_batches="1",
    training_batches="1",
    networks="rgb",
    crop=64,
    precisions="fp32",
    trained="one_stream",
    epochs=1,
    seconds=0.01,
    rounds=1,
    workers=0,
    compiled="",
)


@dataclass(frozen=True)
class Plan:
    """Makes the steps.

    Attributes:
        models: precision and path of exported files of one network, the fp32 file first.
        folder: for what the steps write.
        device: "cpu" or "cuda".
        size: how much is measured.
        gpus: the number of GPUs.
    """

    models: Sequence[tuple[str, Path]]
    folder: Path
    device: str
    size: Size
    gpus: int

    def steps(self) -> list[Step]:
        """Returns all steps."""
        whole, fp16 = self._files["fp32"], self._files["fp16"]
        provider = "cuda" if self._on_gpu else "onnxruntime"
        eight = [path for precision, path in self.models if precision == "int8"]
        return [
            Step("doctor", "doctor", ("-m", "cmfl_export", "doctor"), 60),
            self._module("inputs", 60, self.folder, images=self.size.images, rows=self.size.rows),
            self._export(),
            self._timed("products", 60, self.device, sizes=self.size.matrices, needs=_TORCH),
            self._rates("fp16", fp16, provider),
            self._training(),
            self._rates("fp32", whole, provider),
            *(self._rates("int8", path, provider) for path in eight),
            self._needing_gpu(self._rates("fp16", fp16, "cuda-graph")),
            self._switches(),
            self._parity(),
            self._nodes(),
            self._peers("PyTorch", self.size.peers, self.size.peer_batches, 70),
            self._tests(),
            self._train_command(),
            self._compiled(),
            self._tensorrt(),
        ]

    @property
    def _on_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def _files(self) -> dict[str, Path]:
        """The files by precision; that in fp16 is made where none was given."""
        return {"fp16": self.folder / FP16} | dict(self.models)

    @property
    def _all_files(self) -> list[str]:
        return [str(path) for _, path in sorted(self._files.items())]

    @property
    def _workers(self) -> int:
        return usable_cores() if self.size.workers is None else self.size.workers

    def _module(
        self,
        kind: str,
        limit: float,
        *arguments: object,
        name: str = "",
        needs: tuple[str, ...] = (),
        **options: object,
    ) -> Step:
        """Returns a step that is a module of this package, with its options."""
        name = name or kind
        path = self.folder / "steps" / f"{name.replace(' ', '-')}.json"
        given = [
            text
            for option, value in (options | {"out": path}).items()
            for text in (f"--{option.replace('_', '-')}", str(value))
        ]
        command = ("-m", f"{__package__}.{kind}", *map(str, arguments), *given)
        least = _LEAST_ON_GPU if self._on_gpu else _LEAST
        return Step(name, kind, command, limit, least, figures=path, needs=needs)

    def _timed(self, kind: str, limit: float, *arguments: object, **options: Any) -> Step:
        return self._module(kind, limit, *arguments, seconds=self.size.seconds, **options)

    def _export(self) -> Step:
        fp16 = self.folder / FP16
        command = (
            *("-m", "cmfl_export", "export", str(self._files["fp32"]), "-o", str(fp16)),
            # Drawn images have no classes and may lie near the threshold; parity is judged in a later step.
            *("--precision", "fp16", "--calibration", str(self.folder / HELD_OUT), "--max-flips", "100"),
        )
        step = Step("export fp16", "export", command, 90, needs=("onnx",))
        return replace(step, left_out="a file was given") if self._files["fp16"] != fp16 else step

    def _rates(self, precision: str, path: Path, provider: str) -> Step:
        step = self._timed(
            *("rates", 70, path, provider, self.folder / IMAGES),
            name=f"rates {precision} {provider}",
            batch_sizes=self.size.batches,
            file_batches=self.size.file_batches,
        )
        return replace(step, files=(path,))

    def _training(self) -> Step:
        return self._timed(
            *("training", 120, self.folder / PROTOCOL, self.folder, self.device),
            networks=self.size.networks,
            precisions=self.size.precisions,
            batch_sizes=self.size.training_batches,
            crop=self.size.crop,
            workers=self._workers,
            needs=_TRAINING,
        )

    def _switches(self) -> Step:
        path = self._files["fp16"]
        step = self._timed(
            *("switches", 60, path, self.device, self.folder / IMAGES),
            batch_sizes=self.size.switch_batches,
            rounds=self.size.rounds,
        )
        return replace(step, files=(path,))

    def _parity(self) -> Step:
        out = self.folder / "steps" / "parity.json"
        images = str(self.folder / IMAGES)
        command = ("-m", "cmfl_export", "verify", *self._all_files, "--everywhere", images, "-o", str(out))
        return Step("parity", "parity", command, 120, _LEAST, figures=out, if_there=(self._files["fp16"],))

    def _nodes(self) -> Step:
        provider = "cuda" if self._on_gpu else "cpu"
        step = self._module("nodes", 60, *self._all_files, provider=provider, batch=2)
        return replace(step, if_there=(self._files["fp16"],))

    def _peers(self, name: str, ways: str, batch_sizes: str, limit: float) -> Step:
        return self._timed(
            *("peers", limit, self._files["fp32"], self.device, ways, self.folder / IMAGES),
            name=name,
            batch_sizes=batch_sizes,
            needs=_TORCH,
        )

    def _tests(self) -> Step:
        folder = ROOT / "tests" / "gpu"
        # Engines of TensorRT take minutes to build, and parity has them, too.
        options = (
            "-vv",
            "-rs",
            "-m",
            "gpu",
            "-k",
            "not tensorrt",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(ROOT),
        )
        command = ("-m", "pytest", *options, "-c", str(ROOT / "pyproject.toml"), str(folder))
        return Step("tests", "tests", command, 120, _LEAST, needs=("pytest", *_TRAINING), files=(folder,))

    def _train_command(self) -> Step:
        counts = dict.fromkeys(("1", str(self.gpus)) if self._on_gpu else ("1",))
        return self._module(
            *("train_command", 100, self.folder / PROTOCOL, self.folder),
            name="train command",
            devices=",".join(counts),
            architecture=self.size.trained,
            precision=self.size.precisions.partition(",")[0],
            epochs=self.size.epochs,
            batch_size=self.size.training_batches.rpartition(",")[2],
            workers=self._workers,
            needs=_TRAINING,
        )

    def _compiled(self) -> Step:
        step = self._peers("PyTorch compiled", "compile", self.size.compiled, 150)
        return step if self.size.compiled else replace(step, left_out="left out in a tiny run")

    def _tensorrt(self) -> Step:
        # It builds an engine for each batch size, for minutes, so it comes last.
        step = self._rates("fp16", self._files["fp16"], "tensorrt")
        return self._needing_gpu(replace(step, limit=240, least=60, optional=True))

    def _needing_gpu(self, step: Step) -> Step:
        return step if self._on_gpu else replace(step, left_out="needs a GPU")
