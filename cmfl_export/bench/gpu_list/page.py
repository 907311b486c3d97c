"""The page of the list: Markdown, made from its JSON alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..table import markdown
from .targets import figures_of, targets

_NONE = "-"
# What a rate is a share of. CUDA computes int8 files in float32; PyTorch's float32 convolutions use TF32.
_OF_MODELS = {"fp32": "fp32", "fp16": "fp16", "int8": "fp32"}
_OF_PYTORCH = {"fp32": "tf32", "bf16": "bf16"}
_TRAINING_FACTOR = 3  # a step has three times the arithmetic of the forward pass

Record = dict[str, Any]


def page(record: Record) -> str:
    """Returns the whole page; a part whose figures have another form than expected says so."""
    parts = [_head(record), *(_part(title, make, record) for title, make in _PARTS.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _part(title: str, make: Callable[[Record], list[str]], record: Record) -> str:
    """Returns a part below its title, or "" if it has nothing to say."""
    try:
        lines = make(record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The figures come from other processes, and a strange one must not cost the rest of the page.
        lines = [f"The figures cannot be read: {type(error).__name__} {error}."]
    return "\n".join([f"## {title}", "", *lines]) if lines else ""


def _head(record: Record) -> str:
    machine, settings = record["machine"], record["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in machine.get("versions", {}).items())
    size = "tiny: the figures mean nothing" if settings["tiny"] else "full"
    return "\n".join(
        [
            "# GPU list",
            "",
            f"- GPU: {machine.get('gpu') or 'none'}",
            f"- CPU: {machine['cpu']}, {machine['cores']} cores; {machine['system']}",
            f"- {versions}",
            f"- on {settings['device']}, {size}; began {record['began']}, took {record['seconds']:.0f} s of "
            f"{60 * settings['minutes']:.0f} s",
        ]
    )


def _table(rows: Sequence[Sequence[str]], note: str = "", left: int = 1) -> list[str]:
    """Returns the lines of a table below a note; none if it has no row below its header."""
    if len(rows) < 2:
        return []
    cells = [[cell.replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    return [*([note, ""] if note else []), *markdown(cells, left=left)]


def _targets(record: Record) -> list[str]:
    return _table([["target", "measured", "state"], *map(list, targets(record))], left=3)


def _printed(record: Record) -> list[str]:
    """Returns what steps have printed whose output is the result, as blocks."""
    lines = []
    for step in record["steps"]:
        if step["kind"] in ("doctor", "tests", "parity") and step["output"]:
            text = step["output"].replace("```", "'''")
            lines += [f"{step['name']}:", "", "```", text, "```", ""]
    return lines[:-1]


def _steps(record: Record) -> list[str]:
    rows = [
        ["step", "status and reason", "s"],
        *(
            [s["name"], ": ".join(filter(None, (s["status"], s["reason"]))), f"{s['seconds']:.0f}"]
            for s in record["steps"]
        ),
    ]
    return _table(rows, left=2)


def _products(record: Record) -> list[str]:
    rows = [["precision", "TFLOP/s", "side"]]
    for precision, (rate, side) in _limits(record).items():
        rows.append([precision, f"{rate / 1e12:.3g}", str(side)])
    return _table(rows, "What the shares below are shares of.")


def _limits(record: Record) -> dict[str, tuple[float, int]]:
    """Returns the highest rate of products by precision, and the side of its matrices."""
    found: dict[str, tuple[float, int]] = {}
    for row in _rows(record, "products"):
        if row.get("rate") and row["rate"] > found.get(row["precision"], (0.0, 0))[0]:
            found[row["precision"]] = row["rate"], row["size"]
    return found


def _share(record: Record, rate: float | None, operations: float | None, precision: str | None) -> str:
    limit = _limits(record).get(precision or "")
    if not rate or not operations or limit is None:
        return _NONE
    return f"{rate * operations / limit[0]:.0%}"


def _operations(record: Record) -> float | None:
    return next(
        (f["facts"]["operations"] for f in figures_of(record, "rates") if f["facts"].get("operations")), None
    )


def _rates(record: Record) -> list[str]:
    all_rows = _rows(record, "rates")
    columns = list(dict.fromkeys((row["what"], row["batch"]) for row in all_rows))
    columns.sort(key=lambda column: (column[0] != "network", column[1]))
    names = [f"{'b' if what == 'network' else 'f'}{batch}" for what, batch in columns]
    table = [["model", "provider", *names, "share", "p50 ms", "p99 ms", "GPU MB", "host MB"]]
    for figures in figures_of(record, "rates"):
        facts, rows = figures["facts"], {(row["what"], row["batch"]): row for row in figures["rows"]}
        network = [row for (what, _), row in rows.items() if what == "network"]
        best = max((row["rate"] for row in network if row.get("rate")), default=None)
        single = rows.get(("network", 1), {})
        precision = _OF_MODELS.get(facts["precision"])
        table.append(
            [
                facts["precision"],
                facts.get("provider", facts["wanted"]),
                *(_number(rows.get(column, {}).get("rate")) for column in columns),
                _share(record, best, facts.get("operations"), precision),
                _number(single.get("p50_ms"), 2),
                _number(single.get("p99_ms"), 2),
                *(_peak(figures["rows"], name) for name in ("gpu_mb", "host_mb")),
            ]
        )
    note = (
        "The network alone by batch size (b), and from JPEG files (f). The share is that of the matrix "
        "products in the same precision, for int8 in fp32, in which CUDA computes such files."
    )
    return _table(table, note, left=2)


def _peers(record: Record) -> list[str]:
    table = [["way", "precision", "batch", "images/s", "share", "p50 ms", "p99 ms", "GPU MB", "host MB"]]
    for row in _rows(record, "peers"):
        rate = row.get("rate")
        table.append(
            [
                *(row["way"], row["precision"], str(row["batch"]), _number(rate)),
                _share(record, rate, _operations(record), _OF_PYTORCH.get(row["precision"])),
                *(_number(row.get("p50_ms"), 2), _number(row.get("p99_ms"), 2)),
                *(_peak([row], name) for name in ("gpu_mb", "host_mb")),
            ]
        )
    note = (
        "Random weights. The share is that of products in bf16, or in tf32 for fp32, as PyTorch's "
        "convolutions use TF32 unless told otherwise."
    )
    return _table(table, note, left=2)


def _training(record: Record) -> list[str]:
    columns = [
        "branches",
        "precision",
        "batch",
        "alone",
        "with loader",
        "loader's share",
        "share of products",
    ]
    table = [[*columns, "GPU MB", "host MB"]]
    for row in _rows(record, "training"):
        work = row["operations"] * _TRAINING_FACTOR if row.get("operations") else None
        precision = _OF_PYTORCH.get(row["precision"])
        loader = row.get("loader_share")
        table.append(
            [
                *(row["network"], row["precision"], str(row["batch"])),
                *(_number(row.get("alone")), _number(row.get("fed"))),
                _NONE if loader is None else f"{loader:.0%}",
                _share(record, row.get("alone"), work, precision),
                *(_peak([row], name) for name in ("gpu_mb", "host_mb")),
            ]
        )
    note = (
        "Optimizer steps on a batch that is on the device, and fed by the loader, whose share of the time is "
        "named. The share of products is as above, with three times the forward arithmetic."
    )
    if any(figures["facts"].get("augment") == 0 for figures in figures_of(record, "training")):
        note += " Without augmentation, for which SciPy is not installed."
    return _table(table, note, left=2)


def _train_command(record: Record) -> list[str]:
    table = [["--devices", "architecture", "precision", "batch per device", "images/s"]]
    for figures in figures_of(record, "train_command"):
        facts = figures["facts"]
        table += [
            [
                *(str(row["devices"]), facts["architecture"], facts["precision"], str(facts["batch"])),
                _number(row.get("rate")),
            ]
            for row in figures["rows"]
        ]
    return _table(table)


def _switches(record: Record) -> list[str]:
    table = [["batch", "neither", "IOBinding", "IOBinding and graph", "binding brings", "graph brings"]]
    rows = {
        (row["batch"], row["binding"], row["graph"]): row.get("rate") for row in _rows(record, "switches")
    }
    for batch in sorted({key[0] for key in rows if key[0] is not None}):
        neither, bound, graph = (
            rows.get((batch, *mode)) for mode in ((False, False), (True, False), (True, True))
        )
        table.append(
            [
                *(str(batch), _number(neither), _number(bound), _number(graph)),
                *(_gain(bound, neither), _gain(graph, bound)),
            ]
        )
    on_gpu = record["settings"]["device"] == "cuda"
    return _table(table, "" if on_gpu else "On the CPU its own memory is bound and nothing is recorded.")


def _nodes(record: Record) -> list[str]:
    rows = [row for row in _rows(record, "nodes") if "nodes" in row]
    providers = sorted({provider for row in rows for provider in row["nodes"]})
    table = [
        ["model", *(name.removesuffix("ExecutionProvider") for name in providers), "elsewhere"],
        *(
            [
                row["model"],
                *(str(row["nodes"].get(provider, 0)) for provider in providers),
                str(sum(part["count"] for part in row["elsewhere"])),
            ]
            for row in rows
        ),
    ]
    return _table(table)


def _elsewhere(record: Record) -> list[str]:
    return [
        f"- {row['model']}: {part['count']} x {part['operator']} on {part['provider']}: {part['reason']} "
        f"({', '.join(part['names'])})"
        for row in _rows(record, "nodes")
        for part in row.get("elsewhere", ())
    ]


def _errors(record: Record) -> list[str]:
    """Returns the rows without figures, with their keys and their reason."""
    found = []
    for step in record["steps"]:
        figures = step["figures"]
        rows = figures.get("rows") if isinstance(figures, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and "error" in row:
                keys = ", ".join(f"{key} {value}" for key, value in row.items() if key != "error")
                found.append(f"- {step['name']}, {keys}: {row['error']}")
    return found


def _rows(record: Record, kind: str) -> list[dict[str, Any]]:
    return [row for figures in figures_of(record, kind) for row in figures["rows"]]


def _peak(rows: Sequence[dict[str, Any]], name: str) -> str:
    found = [row[name] for row in rows if row.get(name) is not None]
    return f"{max(found):,.0f}" if found else _NONE


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return _NONE
    return (
        f"{value:.{digits}f}" if digits is not None else f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"
    )


def _gain(rate: float | None, base: float | None) -> str:
    return f"{rate / base - 1:+.0%}" if rate and base else _NONE


_PARTS: dict[str, Callable[[Record], list[str]]] = {
    "Targets": _targets,
    "Steps": _steps,
    "Matrix products": _products,
    "Exported models, images/s": _rates,
    "The same network in PyTorch, images/s": _peers,
    "Training, images/s": _training,
    "cmfl train": _train_command,
    "What bound memory and CUDA graphs bring, images/s": _switches,
    "Nodes by provider": _nodes,
    "Nodes elsewhere": _elsewhere,
    "Measurements that failed": _errors,
    "Output": _printed,
}
