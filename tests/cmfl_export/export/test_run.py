"""The exported file: its contract, what it computes, and that it appears whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from cmfl_export.base.errors import CmflError
from cmfl_export.export import parity
from cmfl_export.export import run as module
from cmfl_export.export.run import OPSET, check_outputs, export
from cmfl_export.runtime.card import ModelCard
from cmfl_export.runtime.session import Session, read_card
from tests.conftest import lively_network, picture
from training.config import Architecture, Spectra, TrainConfig
from training.deploy import DeployNet, output_names
from training.model import CmflNet
from training.weights import load_weights, save_weights

OUTPUTS: dict[str, list[str | int]] = {
    "p_real": ["batch"],
    "p_real_rgb": ["batch"],
    "p_real_spectrum": ["batch"],
    "embedding": ["batch", 768],
    "heatmap_rgb": ["batch", 14, 14],
    "heatmap_spectrum": ["batch", 14, 14],
    "spectrum": ["batch", 3, 224, 224],
}
IMAGES = np.stack([picture(seed) for seed in range(20, 27)])


@pytest.fixture(scope="module")
def session(model_file: Path) -> Session:
    return Session.open(model_file, "cpu")


@pytest.fixture(scope="module")
def expected(weights_file: Path) -> dict[str, np.ndarray]:
    """What torch makes of IMAGES."""
    net = DeployNet(load_weights(weights_file).net)
    with torch.no_grad():
        return {name: value.numpy() for name, value in net.named(torch.from_numpy(IMAGES)).items()}


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CmflNet]:
    """The export of a one_stream fft network, with its heatmap."""
    folder = tmp_path_factory.mktemp("baseline")
    net = lively_network("one_stream", "fft")
    config = TrainConfig(protocol="p", architecture="one_stream", spectra="fft", loss="bce", aligned=False)
    save_weights(net, folder / "best.safetensors", config)
    export(folder, folder / "fft.onnx", outputs=["heatmap"])
    return folder / "fft.onnx", net


def signature(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[str, list[str | int]]]:
    return {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


class TestContract:
    def test_input_and_outputs(self, graph: onnx.ModelProto) -> None:
        assert signature(graph.graph.input) == {"image": ("UINT8", ["batch", 224, 224, 3])}
        found = signature(graph.graph.output)
        assert list(found) == list(OUTPUTS)
        assert found == {name: ("FLOAT", shape) for name, shape in OUTPUTS.items()}

    def test_one_file(self, model_file: Path, graph: onnx.ModelProto) -> None:
        assert [path.name for path in model_file.parent.iterdir()] == [model_file.name]
        assert all(not onnx.external_data_helper.uses_external_data(t) for t in graph.graph.initializer)

    def test_nothing_but_the_standard_operators(self, graph: onnx.ModelProto) -> None:
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", OPSET)]
        assert OPSET >= 20
        assert {node.domain for node in graph.graph.node} == {""}
        assert not graph.functions
        # The first ONNX Runtime that the package allows, 1.20, reads IR version 10.
        assert graph.ir_version <= 10
        onnx.checker.check_model(graph, full_check=True)

    def test_no_trace_of_the_machine(self, model_file: Path) -> None:
        proto = onnx.load(model_file)
        for tensor in proto.graph.initializer:
            # A million random weights contain every short string.
            tensor.ClearField("raw_data")
        data = proto.SerializeToString()
        assert len(data) < 200_000
        for trace in (b"/tmp", b".py", b"site-packages", b"/home", b"/root", b"doc_string", b"pkg.torch"):
            assert trace not in data, trace
        for part in (str(model_file.parent), str(Path.cwd()), str(Path(torch.__file__).parents[2])):
            assert part.encode() not in data

    def test_card(self, model_file: Path, weights_file: Path) -> None:
        card = read_card(model_file)
        assert (card.name, card.architecture, card.spectra, card.aligned) == (
            "lively",
            "two_stream",
            "multi",
            True,
        )
        assert card.outputs == tuple(OUTPUTS)
        assert card.weights_sha256 == load_weights(weights_file).sha256
        # The run's own folders are nobody's business, nor of any use elsewhere.
        assert card.training["protocol"] == "tiny"
        assert card.training["seed"] == 4
        assert not {"data_root", "workers", "devices", "nodes"} & set(card.training)
        assert card.data == "protocol tiny"
        assert {"torch", "onnx", "numpy", "cmfl-export"} <= set(card.versions)
        assert 0 < card.parity["max_abs_p"] <= card.parity["tolerance"] == 1e-4
        assert card.parity["batches"] == [1, 2, 7]
        assert card.parity["flips"] == 0


class TestValues:
    def test_every_output(self, session: Session, expected: dict[str, np.ndarray]) -> None:
        found = session.run(IMAGES)
        assert list(found) == list(OUTPUTS)
        for name, value in found.items():
            assert value.dtype == np.float32
            assert value.shape == (7, *OUTPUTS[name][1:])
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(value, expected[name], atol=2e-4 * scale, rtol=0, err_msg=name)
        # Were all pictures alike to the network, none of this would say anything.
        for name in ("p_real", "p_real_rgb", "p_real_spectrum"):
            assert np.ptp(expected[name]) > 0.1
        for name in ("heatmap_rgb", "heatmap_spectrum"):
            assert expected[name].min() >= 0
            assert (expected[name].reshape(7, -1).max(axis=1) > 0).all()

    @pytest.mark.parametrize("size", [1, 2, 7])
    def test_scores_in_batches(self, session: Session, expected: dict[str, np.ndarray], size: int) -> None:
        scores = ("p_real", "p_real_rgb", "p_real_spectrum")
        parts = [session.run(IMAGES[start : start + size], scores) for start in range(0, 7, size)]
        for name in scores:
            found = np.concatenate([part[name] for part in parts])
            np.testing.assert_allclose(found, expected[name], atol=1e-4, rtol=0)

    def test_spectrum_of_a_constant_image(self, session: Session) -> None:
        found = session.run(np.full((1, 224, 224, 3), 90, np.uint8))
        assert not found["spectrum"].any()
        assert all(np.isfinite(value).all() for value in found.values())


def grad_cam(net: CmflNet, images: torch.Tensor, branch: str, head: str) -> torch.Tensor:
    """By the definition, through autograd: the weights are the mean gradients of the branch's own logit."""
    kept: list[torch.Tensor] = []
    trunk = getattr(net, f"trunk_{branch}")
    handle = trunk.register_forward_hook(lambda _module, _input, maps: kept.append(maps))
    logit = getattr(net(images), head)
    handle.remove()
    (maps,) = kept
    (gradient,) = torch.autograd.grad(logit.sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    # Evidence for "synthetic" is what lowers P(real), hence the minus.
    return torch.relu((-weights * maps).sum(dim=1)).detach()


@pytest.mark.parametrize(
    ("architecture", "spectra", "heads"),
    [
        ("two_stream", "multi", {"rgb": "rgb", "spectrum": "spectrum"}),
        ("one_stream", "rgb", {"rgb": "joint"}),
        ("one_stream", "fft", {"spectrum": "joint"}),
    ],
)
def test_heatmaps_are_grad_cam(architecture: Architecture, spectra: Spectra, heads: dict[str, str]) -> None:
    net = CmflNet(architecture, spectra).eval()
    images = torch.from_numpy(IMAGES[:1])
    deployed = DeployNet(net, ("heatmap",))
    with torch.no_grad():
        # A network that has learned nothing may find no evidence anywhere; with such weights it does.
        embeddings = deployed.named(images)["embedding"].chunk(len(heads), dim=1)
        for head, embedding in zip(heads.values(), embeddings, strict=True):
            getattr(net, f"head_{head}").weight.copy_(0.5 - embedding)
        found = deployed.named(images)
    for branch, head in heads.items():
        # The closed form leaves out the constant 1/196.
        expected = 196 * grad_cam(net, images, branch, head)
        assert expected.max() > 0
        torch.testing.assert_close(found[f"heatmap_{branch}"], expected, rtol=1e-4, atol=1e-6)


class TestBaselines:
    def test_fft(self, baseline: tuple[Path, CmflNet]) -> None:
        path, net = baseline
        session = Session.open(path, "cpu")
        assert session.outputs == session.card.outputs == ("p_real", "heatmap_spectrum")
        assert (session.card.architecture, session.card.spectra) == ("one_stream", "fft")
        assert session.card.aligned is False
        with torch.no_grad():
            expected = DeployNet(net, ("heatmap",)).named(torch.from_numpy(IMAGES[:3]))
        found = session.run(IMAGES[:3])
        np.testing.assert_allclose(found["p_real"], expected["p_real"], atol=1e-4)
        heatmap = expected["heatmap_spectrum"].numpy()
        np.testing.assert_allclose(found["heatmap_spectrum"], heatmap, atol=2e-4 * heatmap.max(), rtol=0)

    def test_the_spectrum_can_be_looked_at(self, baseline: tuple[Path, CmflNet]) -> None:
        """Although it is no output of this file: `cmfl verify` needs it in every file."""
        probe = parity.open_spectrum(baseline[0], "cpu", None)
        assert probe.run(IMAGES[:1], ["spectrum"])["spectrum"].shape == (1, 3, 224, 224)

    @pytest.mark.parametrize(
        ("architecture", "spectra", "optional", "names"),
        [
            ("two_stream", "multi", (), "p_real p_real_rgb p_real_spectrum"),
            ("two_stream", "multi", ("embedding", "heatmap", "spectrum"), " ".join(OUTPUTS)),
            ("one_stream", "rgb", ("embedding", "heatmap"), "p_real embedding heatmap_rgb"),
            ("one_stream", "fft", ("heatmap", "spectrum"), "p_real heatmap_spectrum spectrum"),
        ],
    )
    def test_output_names(
        self, architecture: Architecture, spectra: Spectra, optional: tuple[str, ...], names: str
    ) -> None:
        with torch.device("meta"):
            net = CmflNet(architecture, spectra)
        assert output_names(net, optional) == tuple(names.split())

    def test_no_spectrum_without_a_spectrum_branch(self, tmp_path: Path) -> None:
        config = TrainConfig(protocol="p", architecture="one_stream", spectra="rgb", loss="bce")
        save_weights(CmflNet("one_stream", "rgb"), tmp_path / "rgb.safetensors", config)
        with pytest.raises(CmflError, match="it has no spectrum; leave that output out"):
            export(tmp_path / "rgb.safetensors", tmp_path / "m.onnx", outputs=["spectrum"])


class TestWholeOrNotAtAll:
    """With the graph of the fixture, since tracing it again would show nothing more."""

    @pytest.fixture
    def traced(self, graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        monkeypatch.setattr(module, "build_graph", lambda *_: (copy, tuple(OUTPUTS)))
        monkeypatch.setattr(parity, "builtin_images", lambda: IMAGES[:1])
        monkeypatch.setattr(parity, "BATCH_SIZES", (1,))
        return copy

    def test_failed_parity(self, traced: onnx.ModelProto, weights_file: Path, tmp_path: Path) -> None:
        out = tmp_path / "model.onnx"
        out.write_bytes(b"an older model")
        (bias,) = [tensor for tensor in traced.graph.initializer if tensor.name == "net.head_rgb.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.01, bias.name))
        with pytest.raises(CmflError, match=r"disagrees with PyTorch, so nothing was written: p_real_rgb \("):
            export(weights_file, out)
        assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
        assert out.read_bytes() == b"an older model"

    def test_success_replaces_an_older_file(
        self, traced: onnx.ModelProto, weights_file: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "new" / "face.onnx"
        out.parent.mkdir()
        out.write_bytes(b"an older model")
        said: dict[str, Any] = {"name": "my faces", "data": "some data", "licence": "CC0", "threshold": 0.25}
        card = export(weights_file, out, **said)
        assert [path.name for path in out.parent.iterdir()] == ["face.onnx"]
        assert read_card(out) == card
        assert (card.name, card.data, card.licence, card.threshold) == tuple(said.values())
        assert card.threshold_source == "given at export"
        assert card.parity["images"] == "1 built-in drawings"

    def test_interrupt(
        self, traced: onnx.ModelProto, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(parity, "check_export", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(weights_file, tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())


class TestRefused:
    """All of it before the long work of tracing begins."""

    @pytest.fixture(autouse=True)
    def _no_tracing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def traced(*_: object) -> None:
            raise AssertionError("the network was traced")

        monkeypatch.setattr(module, "build_graph", traced)

    def test_unknown_output(self, weights_file: Path, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="no output heatmaps; choose from: embedding, heatmap, spectrum"):
            export(weights_file, tmp_path / "m.onnx", outputs=["embedding", "heatmaps"])

    @pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
    def test_threshold(self, weights_file: Path, tmp_path: Path, threshold: float) -> None:
        with pytest.raises(CmflError, match="must be from 0 to 1"):
            export(weights_file, tmp_path / "m.onnx", threshold=threshold)

    @pytest.mark.parametrize("name", ["absent.safetensors", "absent.pth", "absent"])
    def test_no_weights(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(CmflError, match=f"no weights at .*{name}"):
            export(tmp_path / name, tmp_path / "m.onnx")

    def test_no_weights_in_the_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match=r"has no best\.safetensors"):
            export(tmp_path, tmp_path / "m.onnx")

    def test_spectra(self, weights_file: Path, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="rgb or fft"):
            export(weights_file, tmp_path / "m.onnx", spectra="multi")

    def test_a_file_where_the_folder_should_be(self, weights_file: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CmflError, match=r"cannot write .*m\.onnx"):
            export(weights_file, tmp_path / "file" / "m.onnx")

    def test_a_folder_as_the_target(self, weights_file: Path, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match="it is a folder"):
            export(weights_file, tmp_path)

    def test_the_weights_as_the_target(self, weights_file: Path) -> None:
        with pytest.raises(CmflError, match="is the weights file itself"):
            export(weights_file.parent, weights_file)

    @pytest.mark.parametrize("package", ["onnx", "onnxscript"])
    def test_torch_without_the_exporter(
        self, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else name)
        with pytest.raises(CmflError, match=rf"\({package}\) .*pip install 'cmfl-export\[train\]'"):
            export(weights_file, tmp_path / "m.onnx")


def test_check_outputs() -> None:
    assert check_outputs(["spectrum", "embedding", "spectrum"]) == ("embedding", "spectrum")
    assert check_outputs([]) == ()


def test_description_of_an_official_checkpoint(weights_file: Path) -> None:
    loaded = load_weights(weights_file)
    bare = type(loaded)(loaded.net, Path("somewhere/checkpoint_9.pth"), "00")
    assert module.describe_training(bare) == {
        "source": "checkpoint of the official implementation, checkpoint_9.pth"
    }
    assert module.describe_data(bare.config) == "not stated"


def test_card_is_the_files_only_metadata(graph: onnx.ModelProto) -> None:
    assert [entry.key for entry in graph.metadata_props] == ["cmfl"]
    assert isinstance(ModelCard.from_json(graph.metadata_props[0].value), ModelCard)
    assert graph.producer_name == "cmfl-export"
