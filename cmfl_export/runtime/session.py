"""Sessions: an exported model that is ready to run and reports where it really runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base import forks
from ..base.cpu import multiplies_int8_exactly, usable_cores
from ..base.errors import CmflError, ModelError, ProviderError, UsageError
from ..base.options import check_provider
from . import providers
from .card import METADATA_KEY, ModelCard
from .gpu import DeviceModel
from .model_check import INPUT_NAME, INPUT_SHAPE, SCORE_OUTPUTS, CheckedModel, read_model
from .openvino import OpenVinoModel
from .portability import is_portable

# The precisions that OpenVINO runs faster on a CPU than ONNX Runtime; float32 is equally fast in both.
OPENVINO_PRECISIONS = ("int8", "fp16")


class Engine(Protocol):
    """Runs a model. Safe to share between threads.

    Attributes:
        concurrent_batches: the best number of batches to run at once.
    """

    @property
    def concurrent_batches(self) -> int: ...

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, low_latency: bool = True
    ) -> Sequence[NDArray[np.float32]]:
        """The outputs of these names, float32, for a batch uint8 [n, 224, 224, 3].

        Args:
            low_latency: whether this batch should finish as soon as possible; else the caller runs up to
                `concurrent_batches` at once.
        """


class Session:
    """A model, ready to run. Safe to share between threads.

    Attributes:
        path: the file that was opened.
        sha256: of the bytes that run, in hexadecimal; the file may change meanwhile.
        provider: where it really runs: "cpu" (ONNX Runtime), "openvino", "cuda", "cuda-graph" or "tensorrt".
        passed_over: why a faster way to run was not used: the GPU of a machine that has an NVIDIA driver, or
            the CPU's own 8-bit products; else "".
        card: the model card in the file.
        outputs: the names of the graph's outputs, in its order.
        threads: the threads that the model uses on the CPU.
        concurrent_batches: the best number of batches to run at once, see `run`.
        full_batches: whether the last batch should be padded to the full batch size. True on a GPU, where
            cuDNN searches again (and TensorRT builds again) for each new batch shape; False on the CPU,
            where padding only costs time.
    """

    def __init__(
        self,
        engine: Engine,
        model: CheckedModel,
        card: ModelCard,
        provider: str,
        passed_over: str,
        threads: int,
    ) -> None:
        """Wraps an engine; use `Session.open`.

        Args:
            engine: runs the model.
            model, card: the file that the engine runs, and the card in it.
            provider, passed_over, threads: see the attributes.
        """
        self._engine = engine
        self._native = forks.Native(model.path, engine)
        self.concurrent_batches = engine.concurrent_batches
        self.path = model.path
        self.sha256 = hashlib.sha256(model.data).hexdigest()
        self.provider = provider
        self.passed_over = passed_over
        self.card = card
        self.outputs: tuple[str, ...] = tuple(output.name for output in model.file.outputs)
        self.threads = threads
        self.full_batches = provider in providers.ON_GPU

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str],
        provider: str = "auto",
        threads: int | None = None,
        *,
        exact: bool = False,
        optimise: bool = True,
    ) -> Session:
        """Opens an exported model.

        Where this CPU's 8-bit products could saturate with the weights in the file, ONNX Runtime computes
        them exactly, at about half the speed (see `portability`).

        Args:
            model: the ONNX file; `cmfl_export.zoo.resolve` gives the file of a name in the zoo.
            provider: "cuda", "cuda-graph", "tensorrt", "cpu", or "auto": cuda where it really loads, else
                cpu. "cuda-graph" records the work of each batch size and replays it, which saves the time
                between kernels and costs memory per size. TensorRT builds an engine for minutes, so it is
                used only on request. "cpu" is the fastest installed CPU runtime for the file's precision;
                "onnxruntime" and "openvino" name one.
            threads: CPU threads; None means all cores that this process may use.
            exact: compute 8-bit products exactly on any CPU, with provider "onnxruntime".
            optimise: whether ONNX Runtime may change the graph; False is slower and computes every node as it
                is in the file. For comparisons, with provider "onnxruntime".

        Raises:
            UsageError: the provider is unknown, or `threads` is below 1.
            ModelError: the file is not an exported model, or has parts that no export writes (see
                `model_check`).
            ProviderError: the provider does not load here; the message gives the cause and a remedy.
        """
        check_provider(provider)
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        checked, card = read_checked(model)
        name, passed_over = choose_provider(provider)
        count = threads or usable_cores()
        if name in ("cpu", "openvino") and not card.portable and not multiplies_int8_exactly():
            why = "its 8-bit weights could saturate on this CPU, which has no VNNI"
            if name == "openvino":
                raise ProviderError(
                    f"{checked.path}: {why}; use --provider onnxruntime, which computes them exactly, or "
                    "export the int8 file again"
                )
            exact = True
            slower = "so they are computed exactly and slower; export the int8 file again for full speed"
            passed_over = "; ".join(filter(None, (passed_over, f"{why}, {slower}")))
        may_be_openvino = name == "cpu" and provider != "onnxruntime" and optimise and not exact
        if may_be_openvino and card.precision in OPENVINO_PRECISIONS:
            name = "openvino" if providers.has_openvino() else name
        engine: Engine
        if name == "openvino":
            engine = OpenVinoModel(checked.path, checked.data, card.precision, count)
        else:
            ort_session = create_session(
                checked.path, name, count, optimise=optimise, data=checked.data, exact=exact
            )
            if name in providers.ON_GPU:
                engine = DeviceModel(ort_session, "cuda", recorded=name == "cuda-graph")
            else:
                engine = CpuModel(ort_session)
        return cls(engine, checked, card, name, passed_over, count)

    @property
    def score_outputs(self) -> tuple[str, ...]:
        """The names of the scores: P(real) of the joint head and, in two-stream models, of the branches."""
        return tuple(name for name in self.outputs if name in SCORE_OUTPUTS)

    def run(
        self, batch: NDArray[np.uint8], outputs: Sequence[str] | None = None, *, low_latency: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Args:
            batch: uint8 [n, 224, 224, 3], RGB, n >= 1.
            outputs: the names of the outputs to fetch; None means all. ONNX Runtime always computes the whole
                graph, so fewer outputs save their copying, not their computation.
            low_latency: whether this batch should finish as soon as possible. With False, up to
                `concurrent_batches` threads of the caller run one batch each, with less time per image.

        Returns:
            The outputs by name, float32, with the batch as the first dimension.

        Raises:
            ValueError: the batch has another dtype or shape, or an output is not in the model.
            ModelError: an output is not float32, or does not have one row per image.
            ProviderError: the run failed, for instance for lack of GPU memory (it is not silently repeated on
                the CPU), or this process was forked from the one that opened the session.
        """
        self._native.check()
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != INPUT_SHAPE or not len(batch):
            raise ValueError(
                f"a batch is uint8 [n, 224, 224, 3] with n >= 1, not {batch.dtype} {list(batch.shape)}"
            )
        names = list(self.outputs if outputs is None else outputs)
        unknown = [name for name in names if name not in self.outputs]
        if unknown:
            raise ValueError(
                f"{self.path} has no output {', '.join(unknown)}; it has: {', '.join(self.outputs)}"
            )
        try:
            values = self._engine.run(names, batch, low_latency=low_latency)
        except CmflError:
            raise
        except Exception as error:  # the runtimes' exceptions share no base class but Exception
            raise ProviderError(
                f"{self.path}: the run failed on {self.provider} with {len(batch)} images: "
                f"{providers.one_line(error)}; a smaller batch needs less memory"
            ) from error
        found = dict(zip(names, values, strict=True))
        for name, value in found.items():
            fits = value.shape == (len(batch),) if name in SCORE_OUTPUTS else value.shape[:1] == (len(batch),)
            if value.dtype != np.float32 or not fits:
                raise ModelError(
                    f"{self.path}: the output {name} is {value.dtype} {list(value.shape)} for {len(batch)} "
                    "images, so this is not an exported model; export the model again"
                )
        return found


class CpuModel:
    """A model on the CPU, run by ONNX Runtime."""

    concurrent_batches = 1

    def __init__(self, ort_session: Any) -> None:
        self._session = ort_session

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, low_latency: bool = True
    ) -> Sequence[NDArray[np.float32]]:
        """See `Engine.run`."""
        values: Sequence[NDArray[np.float32]] = self._session.run(list(names), {INPUT_NAME: batch})
        return values


def read_card(model: str | os.PathLike[str]) -> ModelCard:
    """Reads the model card of an exported file without preparing the model to run.

    Args:
        model: the ONNX file.

    Raises:
        ModelError: the file is missing or not an exported model.
    """
    return read_checked(model)[1]


def read_checked(model: str | os.PathLike[str]) -> tuple[CheckedModel, ModelCard]:
    """Reads an exported file, checks it, and returns it with its card.

    Raises:
        ModelError: the file is missing or not an exported model.
    """
    checked = read_model(_existing_file(model))
    return checked, _card_of(checked)


def choose_provider(provider: str) -> tuple[str, str]:
    """The provider to run on, and why the GPU of a machine that has one is not used (else "").

    Raises:
        ProviderError: the requested provider does not load.
    """
    if provider in ("cpu", "onnxruntime"):
        return "cpu", ""
    if provider == "openvino":
        providers.load_openvino()
        return "openvino", ""
    wanted = "cuda" if provider == "auto" else provider
    trouble = providers.trouble(wanted)
    if trouble is None:
        return wanted, ""
    if provider != "auto":
        raise ProviderError(f"{wanted} does not load: {trouble.cause}; to fix it: {trouble.remedy}")
    return (
        "cpu",
        f"cuda does not load: {trouble.cause}; to fix it: {trouble.remedy}"
        if providers.nvidia_driver()
        else "",
    )


def _existing_file(model: str | os.PathLike[str]) -> str:
    text, file = os.fspath(model), Path(model)
    if not file.exists():
        raise ModelError(f"{text}: no such model file")
    if file.is_dir():
        raise ModelError(f"{text} is a folder, not a model; give the .onnx file")
    if not os.access(file, os.R_OK):
        raise ModelError(f"{text}: no permission to read the model file")
    return text


def create_session(
    path: str,
    provider: str,
    threads: int,
    *,
    optimise: bool,
    data: bytes | None = None,
    exact: bool = False,
) -> Any:
    """An `onnxruntime.InferenceSession` on a provider that loads (see `choose_provider`).

    Args:
        path: the ONNX file.
        optimise: whether ONNX Runtime optimises the graph.
        data: the file's content, if it has already been read and checked.
        exact: add 8-bit products in 32 bits on every CPU.

    Raises:
        ModelError: the file is not an ONNX model, or the provider does not accept it.
        ProviderError: the provider does not load.
    """
    ort = providers.load_onnxruntime()
    providers.prepare(provider)
    options = providers.silent_options()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the graph runs one node at a time
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    try:
        with providers.quiet() if provider in providers.ON_GPU else nullcontext():
            # With fallback, a lost GPU would silently become a CPU run, at creation and at run time.
            session = ort.InferenceSession(
                path if data is None else data,
                options,
                providers=providers.requested(provider),
                enable_fallback=0,
            )
    except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
        reason = providers.one_line(error)
        if "protobuf" in reason.lower():
            raise ModelError(f"{path} is not an ONNX file, or is damaged; export the model again") from error
        raise ModelError(f"{path}: ONNX Runtime cannot load the model on {provider}: {reason}") from error
    running = session.get_providers()[0]
    if running != providers.ORT_NAMES[provider]:
        raise ProviderError(
            f"{path}: {provider} was requested but the model loaded on {running}; run: cmfl doctor"
        )
    return session


def _card_of(model: CheckedModel) -> ModelCard:
    text = model.file.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(f"{model.path} has no CMFL model card in it; export it with cmfl export")
    try:
        card = ModelCard.from_json(text)
    except CmflError as error:
        raise ModelError(f"{model.path}: {error}") from error
    # Computed from the weights, whatever the card says.
    return replace(card, portable=is_portable(model.file))
