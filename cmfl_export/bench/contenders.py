"""Lists what is measured: every backend with every model, PyTorch, and the machine's limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from ..base.cpu import multiplies_half_precision
from ..base.errors import UsageError
from ..runtime import ModelCard, choose_provider, providers
from ..zoo import Variant

BACKENDS = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "cuda": "CUDA",
    "cuda-graph": "CUDA graph",
    "tensorrt": "TensorRT",
}
FOLDER, START_UP = "folder", "start-up"
_CLIENTS = " clients"
PLAIN = "plain eager fp32"  # the training that others are compared with
# torch.compile takes minutes per batch size, so only this one is compiled: that of the whole pipeline.
_COMPILED_BATCH = 8
# Sides of the matrices whose products are the limit, see `products.Products`.
_CPU_SIZE, _GPU_SIZE = 2048, 4096


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        name: its name in the table.
        kind: which engine the worker makes: "model", "served", "torch", "loop", "products", "training" or
            "loader".
        precision: the precision that it computes in; decides its limit.
        measures: "batch N", "folder", "start-up", "N clients", "products", "step", "fed" or "loader".
        options: arguments of the engine; JSON values.
        on_gpu: whether its limit is the GPU's.
    """

    name: str
    kind: str
    precision: str
    measures: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    on_gpu: bool = False


def choose_backends(wanted: Sequence[str] | None) -> list[str]:
    """Returns the wanted backends; by default all that load, without TensorRT.

    TensorRT builds an engine for minutes per batch size, so it is only used on request.

    Raises:
        UsageError: a wanted backend is unknown.
        ProviderError: a wanted backend does not load.
    """
    if wanted is None:
        openvino = ["openvino"] if providers.has_openvino() else []
        cuda = ["cuda", "cuda-graph"] if providers.trouble("cuda") is None else []
        return ["onnxruntime", *openvino, *cuda]
    for name in wanted:
        if name not in BACKENDS:
            raise UsageError(f"unknown backend {name!r}; choose from: {', '.join(BACKENDS)}")
        choose_provider(name)
    return list(wanted)


def of_models(
    models: Sequence[Variant], backends: Sequence[str], batch_sizes: Sequence[int]
) -> list[Contender]:
    """Returns each model on each backend; the reference is the first."""
    measures = (*(f"batch {size}" for size in batch_sizes), FOLDER, START_UP)
    return [
        Contender(
            f"{BACKENDS[backend]} {model.label}",
            "model",
            model.card.precision,
            measures,
            {"model": str(model.path), "provider": backend},
            on_gpu=backend in providers.ON_GPU,
        )
        for model in models
        for backend in backends
    ]


def of_servers(models: Sequence[Variant], backends: Sequence[str], clients: Sequence[int]) -> list[Contender]:
    """Returns `predict` and the server, in turn, with each model on each backend."""
    found = []
    for model in models:
        for backend in backends:
            name, precision = f"{BACKENDS[backend]} {model.label}", model.card.precision
            options = {"model": str(model.path), "provider": backend}
            measures = tuple(f"{count}{_CLIENTS}" for count in dict.fromkeys(clients))
            found.append(Contender(name, "model", precision, (FOLDER,), options))
            found.append(Contender(f"{name} served", "served", precision, measures, options))
    return found


def clients_of(measure: str) -> int:
    """Returns the number of clients of a measure "N clients"."""
    return int(measure.removesuffix(_CLIENTS))


def can_serve() -> bool:
    """Whether the packages of the extra `serve` are installed."""
    return all(find_spec(name) for name in ("starlette", "uvicorn", "prometheus_client", "python_multipart"))


def of_pytorch(card: ModelCard, devices: Sequence[str], batch_sizes: Sequence[int]) -> list[Contender]:
    """Returns PyTorch's ways to run the card's network, with random weights: speed does not depend on them.

    Eager and torch.compile, in float32 and in a reduced precision if the device has one, and the loop of the
    official script.
    """
    from training.fit import cpu_has_bf16

    network = {"architecture": card.architecture, "spectra": card.spectra, "aligned": card.aligned}
    measures = tuple(f"batch {size}" for size in batch_sizes)
    compiled = min(batch_sizes, key=lambda size: abs(size - _COMPILED_BATCH))
    found = []
    for device in devices:
        gpu = device == "cuda"
        place = " CUDA" if gpu else ""
        ways = [("PyTorch", "fp32", False), ("torch.compile", "fp32", True)]
        if gpu:
            ways += [("PyTorch", "fp16", False), ("torch.compile", "fp16", True)]
        elif cpu_has_bf16():
            ways += [("PyTorch", "bf16", False), ("torch.compile", "bf16", True)]
        found += [
            Contender(
                f"{way}{place} {precision}",
                "torch",
                precision,
                (f"batch {compiled}",) if is_compiled else measures,
                network | {"device": device, "precision": precision, "compiled": is_compiled},
                on_gpu=gpu,
            )
            for way, precision, is_compiled in ways
        ]
        found.append(
            Contender(
                f"reference-style loop{place}", "loop", "fp32", (FOLDER,), network | {"device": device}, gpu
            )
        )
    return found


def of_machine(backends: Sequence[str], devices: Sequence[str]) -> list[Contender]:
    """Returns matrix products by every means that is installed; the fastest per precision is the limit."""
    ways: list[tuple[str, str]] = []
    if find_spec("onnx") is not None:
        precisions = {
            "onnxruntime": ("fp32", "int8"),
            "openvino": ("fp32", *(["bf16"] if multiplies_half_precision() else []), "int8"),
            "cuda": ("fp32", "fp16"),
        }
        means = dict.fromkeys("cuda" if name in providers.ON_GPU else name for name in backends)
        ways += [(name, precision) for name in means for precision in precisions[name]]
    if "cpu" in devices:
        from training.fit import cpu_has_bf16

        ways += [("torch cpu", "fp32"), *([("torch cpu", "bf16")] if cpu_has_bf16() else [])]
    if "cuda" in devices:
        ways += [("torch cuda", precision) for precision in ("fp32", "fp16", "bf16")]
    if not ways:
        ways = [("numpy", "fp32")]
    return [
        Contender(
            f"products {means} {precision}",
            "products",
            precision,
            ("products",),
            {"means": means, "precision": precision, "size": _GPU_SIZE if "cuda" in means else _CPU_SIZE},
            on_gpu="cuda" in means,
        )
        for means, precision in ways
    ]


def torch_devices(backends: Sequence[str]) -> list[str]:
    """Returns the devices to run PyTorch on: those of the backends; none if it is not installed."""
    if any(find_spec(name) is None for name in ("torch", "torchvision", "lightning")):
        return []
    import torch

    on_gpu = [name in providers.ON_GPU for name in backends]
    devices = [] if all(on_gpu) else ["cpu"]
    return devices + (["cuda"] if any(on_gpu) and torch.cuda.is_available() else [])
