"""The page and the targets, from a made-up record."""

from __future__ import annotations

from typing import Any

import pytest

from cmfl_export.bench.gpu_list.page import page
from cmfl_export.bench.gpu_list.targets import NO_GPU, NOT_REACHED, REACHED, targets
from tests.cmfl_export.bench.gpu_list.records import record


def cells(text: str, title: str) -> list[list[str]]:
    """The rows of the table below a title, without its header."""
    section = text.partition(f"## {title}")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def states(found: dict[str, Any]) -> list[str]:
    return [target.state for target in targets(found)]


class TestTargets:
    def test_reached(self) -> None:
        assert states(record()) == [REACHED] * 5
        assert [target.measured for target in targets(record())] == [
            "4,500 images/s",
            "82% with 16 cores",
            "1,200 images/s",
            "4 nodes of 1 models elsewhere, see below",
            "5.0 minutes, 0 steps without a result",
        ]

    def test_without_a_gpu_they_stay_open(self) -> None:
        found = record()
        found["settings"]["device"] = "cpu"
        assert states(found) == [NO_GPU] * 5

    def test_not_reached(self) -> None:
        found = record()
        rates, training = found["steps"][1]["figures"]["rows"], found["steps"][2]["figures"]["rows"]
        rates[1]["rate"], rates[3]["rate"], training[0]["fed"] = 3999.0, 3100.0, 999.0
        found["steps"][0] |= {"status": "skipped", "reason": "no time left"}
        assert states(found) == [NOT_REACHED] * 3 + [REACHED, NOT_REACHED]

    def test_small_batches_do_not_count(self) -> None:
        found = record()
        found["steps"][1]["figures"]["rows"][1]["batch"] = 32
        assert states(found)[:2] == ["not measured: see the steps"] * 2

    def test_another_card_is_named(self) -> None:
        found = record()
        found["machine"]["gpu"] = "NVIDIA L4, 1"
        assert targets(found)[0].measured == "4,500 images/s (the target is for an H100)"

    @pytest.mark.parametrize(
        "figures", [None, {}, {"facts": 1, "rows": []}, {"facts": {}, "rows": [1, None]}]
    )
    def test_steps_without_figures(self, figures: Any) -> None:
        found = record()
        for step in found["steps"]:
            step |= {"figures": figures, "status": "failed"}
        assert states(found)[:4] == ["not measured: see the steps"] * 4
        assert "# GPU list" in page(found)


class TestPage:
    def test_rates_and_their_shares(self) -> None:
        # 4,500 images/s of 1e10 operations are a tenth of 450 TFLOP/s, the best of two sides.
        (row,) = cells(page(record()), "Exported models")
        assert row == ["fp16", "cuda", "200", "4,500", "-", "3,700", "10%", "5.00", "7.00", "3,000", "2,100"]

    def test_training(self) -> None:
        (row,) = cells(page(record()), "Training")
        # Three times the forward arithmetic: 1,500 x 3e10 of 300 TFLOP/s.
        assert row == ["both", "bf16", "64", "1,500", "1,200", "20%", "15%", "-", "-"]

    def test_switches(self) -> None:
        assert cells(page(record()), "What bound memory") == [["1", "100", "110", "165", "+10%", "+50%"]]

    def test_nodes_are_counted_and_named(self) -> None:
        text = page(record())
        assert cells(text, "Nodes by provider") == [["fp16.onnx", "4", "200", "4"]]
        assert (
            "- fp16.onnx: 4 x TopK on CPUExecutionProvider: no kernel (topk_1, topk_2, topk_3, topk_4)"
            in text
        )

    def test_what_failed(self) -> None:
        assert "- rates fp16 cuda, what network, batch 256: out of memory" in page(record())

    def test_a_step_without_a_result_says_why(self) -> None:
        found = record()
        found["steps"][0] |= {"status": "stopped", "reason": "took longer than 60 s | really"}
        assert cells(page(found), "Steps")[0][:2] == ["products", "stopped: took longer than 60 s / really"]

    def test_output_is_a_block_that_it_cannot_leave(self) -> None:
        found = record()
        found["steps"][0] |= {"kind": "tests", "output": "1 passed\n```\n# not a title"}
        assert "## Output\n\nproducts:\n\n```\n1 passed\n'''\n# not a title\n```" in page(found)

    def test_strange_figures_do_not_cost_the_page(self) -> None:
        found = record()
        found["steps"][1]["figures"]["rows"] = [{"what": "network", "batch": "many", "rate": 1.0}]
        text = page(found)
        assert "## Targets\n\nThe figures cannot be read: TypeError" in text
        assert len(cells(text, "Steps")) == 7

    def test_the_train_command(self) -> None:
        assert cells(page(record()), "cmfl train") == [["1", "two_stream", "bf16", "128", "1,100"]]
