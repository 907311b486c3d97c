"""Says on which provider every node of a model runs, by ONNX Runtime's own profile, and why elsewhere."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from ...images import SIZE
from ...runtime import INPUT_NAME, load_onnxruntime, providers, read_card
from .figures import Figures, Out, run

_FEW = 64  # values; a tensor of shapes and indices has a handful
_WHOLE = ("int64", "int32", "bool")
_NAMED = 40  # nodes that are named for each operator


def main(
    models: list[Path],
    provider: Annotated[str, typer.Option(help="cpu, cuda or tensorrt.")],
    batch: Annotated[int, typer.Option(help="Images of a run.")],
    out: Out,
) -> None:
    """Rows: model, nodes and time by provider, and what does not run on the wanted one, with the reason."""
    figures = Figures(out, provider=provider)

    def placed(model: Path) -> dict[str, Any]:
        return summary(profile(model, provider, batch), providers.ORT_NAMES[provider])

    for model in models:
        keys = {"model": model.name, "precision": read_card(model).precision}
        figures.attempt(keys, partial(placed, model))


def profile(model: Path, provider: str, batch: int) -> list[dict[str, Any]]:
    """Returns the events of nodes in one run, the second, of random pixels."""
    ort = load_onnxruntime()
    providers.prepare(provider)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE, 3), np.uint8)
    with TemporaryDirectory(prefix="cmfl-profile-") as folder:
        options = providers.silent_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            str(model), options, providers=providers.requested(provider), enable_fallback=0
        )
        for _ in range(2):
            session.run(["p_real"], {INPUT_NAME: pixels})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [event for event in events if event.get("cat") == "Node" and "provider" in event.get("args", {})]
    # Each node once a run; the second run comes second.
    return nodes[len(nodes) // 2 :]


def summary(events: Iterable[Mapping[str, Any]], wanted: str) -> dict[str, Any]:
    """Counts the nodes of one run by provider, and explains those that are not on the wanted one.

    Args:
        events: of `profile`.
        wanted: ONNX Runtime's name of a provider.
    """
    nodes: Counter[str] = Counter()
    milliseconds: dict[str, float] = defaultdict(float)
    elsewhere: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for event in events:
        facts = event["args"]
        provider = facts["provider"]
        nodes[provider] += 1
        milliseconds[provider] += event.get("dur", 0) / 1e3
        if provider != wanted:
            name = str(event["name"]).removesuffix("_kernel_time")
            elsewhere[facts.get("op_name", "?"), provider, reason(facts)].append(name)
    return {
        "nodes": dict(nodes),
        "node_ms": {provider: round(value, 3) for provider, value in milliseconds.items()},
        "elsewhere": [
            {
                "operator": op,
                "provider": provider,
                "count": len(names),
                "names": names[:_NAMED],
                "reason": why,
            }
            for (op, provider, why), names in sorted(elsewhere.items())
        ],
    }


def reason(facts: Mapping[str, Any]) -> str:
    """Returns why a node does not run on the GPU, as far as its profile tells.

    Args:
        facts: the `args` of its event: its operator, and the types and shapes of its outputs.
    """
    operator = str(facts.get("op_name", ""))
    if operator.startswith("Memcpy"):
        return "copies between the GPU and the CPU, for the nodes beside it"
    outputs = [pair for output in facts.get("output_type_shape") or () for pair in output.items()]
    if outputs and all(kind in _WHOLE and np.prod(shape) <= _FEW for kind, shape in outputs):
        return "a few whole numbers, such as a shape, which ONNX Runtime computes on the CPU on purpose"
    if "Quantize" in operator or "QLinear" in operator or "Integer" in operator:
        return "8-bit arithmetic that ONNX Runtime has no kernel for on this provider"
    return "ONNX Runtime has no kernel for this operator with these types on this provider"


if __name__ == "__main__":
    run(main)
