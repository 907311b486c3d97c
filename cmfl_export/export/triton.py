"""Writes a model repository of the Triton Inference Server: the exported file and its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models_zoo.names import is_file_name

from ..base.errors import UsageError, need
from ..base.files import refuse_overwriting, scratch_folder, write_whole, writing
from ..base.locks import one_writer
from ..runtime import ModelCard, read_card
from .run import check_kept, export

if TYPE_CHECKING:
    from onnx import ValueInfoProto

# Images per batch at most, and how long one waits for others.
_MOST, _WAIT_US = 64, 5000
# Names of Triton for those of ONNX.
_KINDS = {"UINT8": "TYPE_UINT8", "FLOAT": "TYPE_FP32"}


@one_writer("repository", folder=True)
def export_triton(
    weights: str | Path,
    repository: str | Path,
    *,
    name: str | None = None,
    precision: str = "fp32",
    **options: Any,
) -> ModelCard:
    """Exports WEIGHTS into a model repository of Triton.

    Writes `NAME/1/model.onnx`, then `NAME/config.pbtxt`, which asks for dynamic batches. Other models in the
    repository stay.

    Args:
        weights: see `export`. An exported `.onnx` is taken as it is, unless `precision` asks for a variant.
        repository: a folder.
        name: name of the model and of its folder; by default that in the card of an exported file, else that
            of the repository.
        precision, options: see `export`.

    Raises:
        UsageError: as for `export`, or the model's name cannot be that of a folder.
        ModelError, InputError, ProtocolError, PackageError: as for `export`.
    """
    weights, repository = Path(weights), Path(repository)
    exported = weights.suffix.lower() == ".onnx"
    name = name or (read_card(weights).name if exported else repository.resolve().name)
    if not is_file_name(name):
        raise UsageError(f"{name!r} cannot be the name of a folder; give another --name")
    model, config = repository / name / "1" / "model.onnx", repository / name / "config.pbtxt"
    refuse_overwriting([model], [("the weights file itself", weights)])
    if exported:
        check_kept(weights, **options)
    with scratch_folder() as folder:
        made = weights
        if not exported or precision != "fp32":
            made = folder / f"{name}.onnx"
            export(weights, made, precision=precision, name=None if exported else name, **options)
        card = read_card(made)
        text = _config(name, card, made)
        with writing(repository):
            model.parent.mkdir(parents=True, exist_ok=True)
        write_whole(model, made.read_bytes())
        write_whole(config, text.encode())
    return card


def _config(name: str, card: ModelCard, model: Path) -> str:
    """Returns the text of `config.pbtxt` (message ModelConfig of Triton's model_config.proto)."""
    try:
        import onnx
    except ImportError as error:
        raise need("evaluate", f"reading ONNX files ({error.name})") from error
    graph = onnx.load(model).graph
    band = f"; uncertain from {card.band[0]!r}, real from {card.band[1]!r} on" if card.band else ""
    return "\n".join(
        (
            f"# {card.name}, {card.precision}: scores are P(real), an image is real where",
            f"# sigmoid(logit(p_real) / {card.temperature!r}) >= {card.threshold!r}{band}",
            f'name: "{name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {_MOST}",
            *_tensors("input", graph.input),
            *_tensors("output", graph.output),
            f"dynamic_batching {{ max_queue_delay_microseconds: {_WAIT_US} }}",
            "",
        )
    )


def _tensors(field: str, values: Sequence[ValueInfoProto]) -> Iterator[str]:
    from onnx import TensorProto

    for value in values:
        kind = _KINDS[TensorProto.DataType.Name(value.type.tensor_type.elem_type)]
        # The first one is the batch, which Triton adds itself.
        sizes = [each.dim_value for each in value.type.tensor_type.shape.dim[1:]]
        # Triton knows no tensor with a batch alone.
        shape = f"dims: {sizes}" if sizes else "dims: [1] reshape { shape: [] }"
        yield f'{field} {{ name: "{value.name}" data_type: {kind} {shape} }}'
