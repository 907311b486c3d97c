"""Where nodes run: counted from a profile, and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmfl_export.bench.gpu_list.nodes import profile, reason, summary

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def event(name: str, operator: str, provider: str, *outputs: tuple[str, list[int]]) -> dict[str, Any]:
    shapes = [{kind: shape} for kind, shape in outputs]
    facts = {"op_name": operator, "provider": provider, "output_type_shape": shapes}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": 500, "args": facts}


def test_what_is_elsewhere_is_named() -> None:
    found = summary(
        [
            event("a", "Conv", CUDA, ("float", [1, 8])),
            event("b", "TopK", CPU, ("float", [1, 8])),
            event("c", "TopK", CPU, ("float", [1, 8])),
            event("d", "Shape", CPU, ("int64", [4])),
        ],
        CUDA,
    )
    assert found["nodes"] == {CUDA: 1, CPU: 3}
    assert found["node_ms"] == {CUDA: 0.5, CPU: 1.5}
    assert [(part["operator"], part["count"], part["names"]) for part in found["elsewhere"]] == [
        ("Shape", 1, ["d"]),
        ("TopK", 2, ["b", "c"]),
    ]


@pytest.mark.parametrize(
    ("operator", "outputs", "words"),
    [
        ("Shape", [("int64", [4])], "a few whole numbers"),
        ("Gather", [("int64", [])], "a few whole numbers"),
        ("Gather", [("float", [3])], "no kernel for this operator"),
        ("Gather", [("int64", [1000])], "no kernel for this operator"),
        ("TopK", [("float", [3]), ("int64", [3])], "no kernel for this operator"),
        ("QLinearConv", [("uint8", [1, 64, 112, 112])], "8-bit arithmetic"),
        ("MemcpyToHost", [("float", [3])], "copies between the GPU and the CPU"),
        ("Strange", [], "no kernel for this operator"),
    ],
)
def test_reasons(operator: str, outputs: list[tuple[str, list[int]]], words: str) -> None:
    assert words in reason(event("x", operator, CPU, *outputs)["args"])


def test_a_profile_has_every_node_of_one_run(tiny: Path) -> None:
    found = summary(profile(tiny, "cpu", 2), CPU)
    assert found["elsewhere"] == []
    # Of eight nodes, without those that ONNX Runtime removes.
    assert 5 <= found["nodes"][CPU] <= 8
    assert summary(profile(tiny, "cpu", 2), CUDA)["elsewhere"]
