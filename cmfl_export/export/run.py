"""Exports weights to one ONNX file, with the spectrum inside the graph and the model card inside the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import UsageError
from ..base.files import check_ending, refuse_overwriting, scratch_folder, whole_file
from ..base.locks import one_writer
from ..base.versions import library_versions
from ..images import refuse_inputs
from ..runtime import EMBEDDING, PRECISIONS, SPECTRUM, SPECTRUM_STANDARDISED, ModelCard, write_model
from . import parity
from .reduce import Agreement, Limits, reduce
from .weights import load

if TYPE_CHECKING:
    import onnx

    from training.weights import Weights

OPSET = 20
OPTIONAL_OUTPUTS = ("embedding", "heatmap", "spectrum")


@one_writer("out")
def export(
    weights: str | Path,
    out: str | Path,
    *,
    outputs: Sequence[str] = (),
    name: str | None = None,
    spectra: str | None = None,
    threshold: float = 0.5,
    data: str = "",
    licence: str = "not stated",
    precision: str = "fp32",
    calibration: str | Path | None = None,
    data_root: str | Path | None = None,
    limits: Limits | None = None,
) -> ModelCard:
    """Exports WEIGHTS to an ONNX file that has passed a parity check against PyTorch.

    The graph takes `image`, uint8 [batch, 224, 224, 3], and gives float32 [batch] `p_real` and, with two
    streams, `p_real_rgb` and `p_real_spectrum`. The file appears whole and checked, or not at all.

    Args:
        weights: `best.safetensors`, a run folder, or an official `.pth`. For fp16 and int8 also an exported
            fp32 `.onnx`, whose card is kept, with its calibration.
        out: the file to write.
        outputs: optional graph outputs: `embedding`, `heatmap`, `spectrum`.
        name: name of the model; the file's stem by default.
        spectra: `rgb` or `fft`, for an official one_stream checkpoint, whose file does not say which it is.
        threshold: an image is real if P(real) is at least this.
        data, licence: the card's text on the training data and the licence.
        precision: `fp32`, `fp16` or `int8`.
        calibration, data_root, limits: for fp16 and int8, see `reduce`.

    Raises:
        UsageError: an unusable option, or an output that is an input or that another process is writing.
        ModelError: unusable weights, a graph that disagrees with PyTorch, or a variant that is too far from
            float32.
        InputError, ProtocolError: the calibration images cannot be used.
        PackageError: PyTorch or onnx is missing.
    """
    weights, out = Path(weights), Path(out)
    what = "the weights file itself"
    refuse_overwriting([out], [(what, weights), (what, weights / "best.safetensors")])
    check_ending(out, (".onnx",), "a model")
    if calibration is not None:
        refuse_inputs([out], [str(calibration)])
    images, root = (None if path is None else Path(path) for path in (calibration, data_root))
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    for option, limit in (
        () if limits is None else (("max flips", limits.flips), ("max D-EER change", limits.d_eer))
    ):
        if not 0 <= limit <= 1:
            raise UsageError(f"{option} is {100 * limit:g}; it must be from 0 to 100")
    if weights.suffix.lower() == ".onnx":
        if precision == "fp32":
            raise UsageError(
                f"{weights} is already exported; give --precision fp16 or int8 for a variant of it"
            )
        check_kept(weights, outputs, name, spectra, threshold, data, licence)
        return reduce(weights, out, precision, images, root, limits=limits)
    optional = check_outputs(outputs)
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold is {threshold}; it must be from 0 to 1")
    loaded = load(weights, spectra)
    if "spectrum" in optional and not loaded.net.uses_spectrum:
        raise UsageError(
            f"{loaded.path} is a one_stream rgb network: it has no spectrum; leave that output out"
        )
    card = ModelCard(
        name=name or out.stem,
        architecture=loaded.net.architecture,
        spectra=loaded.net.spectra,
        aligned=loaded.aligned,
        outputs=(),
        threshold=threshold,
        threshold_source="default 0.5, not calibrated" if threshold == 0.5 else "given at export",
        training=describe_training(loaded),
        data=data or describe_data(loaded.config),
        metrics=loaded.metrics,
        versions=library_versions(),
        weights_sha256=loaded.sha256,
        licence=licence,
    )
    if precision == "fp32":
        return _export_fp32(loaded, card, optional, out)
    with scratch_folder() as folder:
        whole = folder / out.name
        _export_fp32(loaded, card, optional, whole)
        return reduce(whole, out, precision, images, root, limits=limits)


def _export_fp32(weights: Weights, card: ModelCard, optional: tuple[str, ...], out: Path) -> ModelCard:
    """Writes the graph with its card, completed by the outputs and the agreement with PyTorch."""
    with whole_file(out) as part:
        model, names = build_graph(weights, optional)
        card = replace(card, outputs=names)
        write_model(model, card, part)
        card = replace(card, parity=parity.check_export(part, weights.net))
        write_model(model, card, part)
    return card


def summary(card: ModelCard, out: str | Path) -> list[str]:
    """Returns the lines that `cmfl export` prints at the end."""
    lines = [
        f"{out}: {card.architecture} {card.spectra}, {card.precision}, outputs {', '.join(card.outputs)}"
    ]
    # The card of a file made by another tool may lack these figures.
    if "max_abs_p" in card.parity:
        lines[0] += (
            f"; max |Δp| {card.parity['max_abs_p']:.1e} against PyTorch on {card.parity.get('images', '?')}"
        )
    reduced = card.parity.get("reduced")
    if reduced:
        lines[0] += ", in fp32" if "max_abs_p" in card.parity else ""
        lines += [f"against fp32 {Agreement(**figures).line()}" for figures in reduced["runtimes"]]
        if EMBEDDING in card.outputs and not card.domain:
            lines.append("without a domain; cmfl calibrate --domain-split train measures one for this file")
    return lines


def check_kept(
    weights: Path,
    outputs: Sequence[str] = (),
    name: str | None = None,
    spectra: str | None = None,
    threshold: float = 0.5,
    data: str = "",
    licence: str = "not stated",
    **_: object,
) -> None:
    """Refuses options of `export` that would change what an exported file keeps.

    Raises:
        UsageError: one was given.
    """
    if outputs or name or spectra or data or threshold != 0.5 or licence != "not stated":
        raise UsageError(f"a variant keeps the outputs and the card of {weights}; leave these options out")


def check_outputs(outputs: Sequence[str]) -> tuple[str, ...]:
    """Returns the optional outputs in their fixed order, each once.

    Raises:
        UsageError: an unknown output.
    """
    unknown = [output for output in outputs if output not in OPTIONAL_OUTPUTS]
    if unknown:
        raise UsageError(f"no output {', '.join(unknown)}; choose from: {', '.join(OPTIONAL_OUTPUTS)}")
    return tuple(output for output in OPTIONAL_OUTPUTS if output in outputs)


def build_graph(weights: Weights, optional: tuple[str, ...]) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Traces the network; returns the model and the names of its outputs.

    The spectrum's tensor is called `spectrum` whether or not it is an output, so that `cmfl verify` can read
    it in any exported file. What a network that standardises makes of it is `spectrum_standardised`.
    """
    import torch

    from training.deploy import DeployNet

    inner = [SPECTRUM] * weights.net.uses_spectrum + [SPECTRUM_STANDARDISED] * weights.net.standardises
    traced = tuple(dict.fromkeys((*optional, *inner)))
    net = DeployNet(weights.net.to(memory_format=torch.contiguous_format), traced)
    wanted = DeployNet(weights.net, optional).names
    # Two images: the exporter takes an example batch of one for a constant.
    example = torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(net.names),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise UsageError("torch.onnx.export returned no program; use another version of torch")
    model = program.model_proto
    kept = [output for output in model.graph.output if output.name in wanted]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    # The exporter's notes name source files of this machine, and every parameter three times.
    graph = model.graph
    for item in (
        model,
        graph,
        *graph.node,
        *graph.value_info,
        *graph.input,
        *graph.output,
        *graph.initializer,
    ):
        del item.metadata_props[:]
        item.doc_string = ""
    return model, wanted


def describe_training(weights: Weights) -> dict[str, Any]:
    """Returns the training configuration without the settings and folders of the machine that it ran on."""
    if not weights.config:
        return {"source": f"checkpoint of the official implementation, {weights.path.name}"}
    of_the_machine = ("data_root", "workers", "devices", "nodes")
    kept = {key: value for key, value in weights.config.items() if key not in of_the_machine}
    names = [Path(path.strip()).name for path in kept.get("init", "").split(",")]
    return kept | {"protocol": Path(kept["protocol"]).name, "init": ", ".join(names)}


def describe_data(config: dict[str, Any]) -> str:
    """Returns the card's default text on the training data."""
    return f"protocol {Path(config['protocol']).name}" if config.get("protocol") else "not stated"


@contextmanager
def _silence() -> Iterator[None]:
    """Hides the exporter's progress and its warnings about its own libraries, which no user can act on."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
