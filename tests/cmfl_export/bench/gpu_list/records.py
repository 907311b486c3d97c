"""A made-up record of a run on an H100."""

from __future__ import annotations

from typing import Any

TERA = 1e12
OPERATIONS = 1e10  # per image


def step(name: str, kind: str, rows: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "command": ["python"],
        "status": "done",
        "seconds": 10.0,
        "reason": "",
        "output": "",
        "figures": {"facts": facts, "rows": rows},
    }


def network(batch: int, rate: float, **more: Any) -> dict[str, Any]:
    return {"what": "network", "batch": batch, "rate": rate, "p50_ms": 5.0, "p99_ms": 7.0, **more}


def record() -> dict[str, Any]:
    fp16 = [
        network(1, 200.0, gpu_mb=900, host_mb=2000),
        network(64, 4500.0, gpu_mb=3000, host_mb=2100),
        {"what": "network", "batch": 256, "error": "out of memory"},
        {"what": "files", "batch": 64, "rate": 3700.0},
    ]
    elsewhere = [
        {
            "operator": "TopK",
            "provider": "CPUExecutionProvider",
            "count": 4,
            "names": ["topk_1", "topk_2", "topk_3", "topk_4"],
            "reason": "no kernel",
        }
    ]
    nodes = {
        "model": "fp16.onnx",
        "nodes": {"CUDAExecutionProvider": 200, "CPUExecutionProvider": 4},
        "elsewhere": elsewhere,
    }
    trained = {"alone": 1500.0, "fed": 1200.0, "loader_share": 0.2, "operations": OPERATIONS}
    return {
        "schema": 1,
        "machine": {
            "cpu": "a CPU",
            "cores": 16,
            "system": "Linux x86_64",
            "gpu": "NVIDIA H100 80GB HBM3, 999.1",
            "versions": {"python": "3.12"},
        },
        "settings": {"device": "cuda", "tiny": False, "minutes": 9.0, "models": []},
        "began": "2026-01-01 00:00:00+00:00",
        "seconds": 300.0,
        "steps": [
            step(
                "products",
                "products",
                [
                    {"precision": "fp16", "size": 4096, "rate": 400 * TERA},
                    {"precision": "fp16", "size": 8192, "rate": 450 * TERA},
                    {"precision": "bf16", "size": 4096, "rate": 300 * TERA},
                ],
            ),
            step(
                *("rates fp16 cuda", "rates", fp16),
                precision="fp16",
                wanted="cuda",
                provider="cuda",
                operations=OPERATIONS,
            ),
            step("training", "training", [{"network": "both", "precision": "bf16", "batch": 64, **trained}]),
            step("PyTorch", "peers", [{"way": "eager", "precision": "fp32", "batch": 64, "rate": 900.0}]),
            step(
                "switches",
                "switches",
                [
                    {"binding": False, "graph": False, "batch": 1, "rate": 100.0},
                    {"binding": True, "graph": False, "batch": 1, "rate": 110.0},
                    {"binding": True, "graph": True, "batch": 1, "rate": 165.0},
                ],
            ),
            step("nodes", "nodes", [nodes]),
            step(
                "train command",
                "train_command",
                [{"devices": 1, "rate": 1100.0}],
                architecture="two_stream",
                precision="bf16",
                batch=128,
            ),
        ],
    }
