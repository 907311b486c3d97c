"""A hub: what is pulled is of one commit, has the right content, and needs no network again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cmfl_export import Detector, Prediction
from cmfl_export.base.cache import cache_folder
from cmfl_export.base.errors import CmflError, ModelError, UsageError
from cmfl_export.zoo import model_and_inputs, resolve
from models_zoo import hub_cache
from models_zoo.hub_address import Address, hub_token, is_address
from models_zoo.listing import facts, table
from models_zoo.manifest import MANIFEST
from models_zoo.pull import pull
from models_zoo.verify import verify
from tests.models_zoo.folders import model_folder, write_weights
from tests.models_zoo.hub_server import COMMIT, OTHER_COMMIT, Hub, hub_of

HERE = "hf://owner/model"


@pytest.fixture
def hub(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a model's folder, which HF_ENDPOINT names."""
    with hub_of(model_folder(tmp_path, "mine", int8=True)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


@pytest.fixture
def plain(hub: Hub) -> Hub:
    """The same without a manifest."""
    (hub.root / MANIFEST).unlink()
    return hub


def refused(text: str, expected: str) -> None:
    """The pull fails with one line and leaves nothing that counts."""
    with pytest.raises(CmflError, match=expected) as caught:
        pull(text)
    assert "\n" not in str(caught.value)
    assert not list(cache_folder().rglob("*.onnx"))
    assert not list(cache_folder().rglob("pulled.json"))
    assert not list(cache_folder().rglob(MANIFEST))


class TestPull:
    def test_the_default_of_main_says_its_commit(self, hub: Hub) -> None:
        pulled = pull(HERE)
        assert pulled.path.read_bytes() == (hub.root / "mine.onnx").read_bytes()
        assert pulled.lines()[1] == f"main is {COMMIT}; pin it as {HERE}@{COMMIT}"
        assert resolve(HERE) == resolve(f"{HERE}@{COMMIT}") == pulled.path
        assert Detector(HERE, provider="cpu").path == pulled.path
        # Everything is of the commit, also if main moves during the pull.
        assert all(COMMIT in path for _, path, _ in hub.requests[1:] if not path.startswith("/cdn/"))

    @pytest.mark.parametrize("text", [f"{HERE}@{COMMIT}", HERE, f"{HERE}@v1", f"{HERE}@refs%2Fpr%2F1"])
    def test_again_without_a_network(self, hub: Hub, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        path = pull(text).path
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        again = pull(text)
        assert again.path == path
        assert "already here, SHA-256 checked" in again.lines()[0]
        assert resolve(text) == path

    def test_another_file(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        pull(HERE)
        text = f"{HERE}/mine-int8.onnx"
        with pytest.raises(ModelError, match=rf"not on this machine; run: cmfl zoo pull {text}$"):
            resolve(text)
        assert pull(text).path.name == resolve(text).name == "mine-int8.onnx"
        with pytest.raises(CmflError, match=r"owner/model has no other\.onnx"):
            pull(f"{HERE}/other.onnx")

    def test_a_branch_that_moves(self, hub: Hub) -> None:
        pull(HERE)
        hub.revisions["main"] = OTHER_COMMIT
        assert COMMIT in pull(HERE).lines()[1]
        assert OTHER_COMMIT in pull(HERE, refresh=True).lines()[1]
        assert hub_cache.names() == [f"{HERE}@{COMMIT}", f"{HERE}@{OTHER_COMMIT}"]

    def test_damage_is_repaired(self, hub: Hub) -> None:
        path = pull(HERE).path
        path.write_bytes(b"damaged")
        with pytest.raises(ModelError, match="is not the file that was pulled"):
            resolve(HERE)
        assert pull(HERE).path == resolve(HERE)

    def test_an_endpoint_by_option(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        assert pull(HERE, endpoint=f"{hub.url}/").path.is_file()
        with pytest.raises(UsageError, match="give --endpoint and not --from"):
            pull(HERE, mirror=hub.url)
        with pytest.raises(UsageError, match="is no address in a hub"):
            pull("mine", endpoint=hub.url)
        with pytest.raises(UsageError, match="not the address of a hub"):
            pull(HERE, endpoint="ftp://a.org")

    def test_listed_shown_and_verified(self, hub: Hub) -> None:
        pull(HERE)
        assert table()[1].split() == [f"{HERE}@{COMMIT}", "-", "-", "hub", "here"]
        assert any(line.split()[:2] == ["from", "hub"] for line in facts(HERE))
        assert verify(f"{HERE}@{COMMIT}").ok

    def test_a_path_that_has_moved_on_the_same_host(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.moved, hub.token = True, "hf_secret"
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert pull(HERE).path.is_file()


class TestWithoutAManifest:
    def test_a_file_by_its_name(self, plain: Hub) -> None:
        refused(HERE, r"several \.onnx files and no manifest\.toml; name one: mine-int8\.onnx, mine\.onnx")
        assert resolve(str(pull(f"{HERE}/mine.onnx").path)).name == "mine.onnx"
        assert pull(f"{HERE}/mine-int8.onnx").path == resolve(f"{HERE}@{COMMIT}/mine-int8.onnx")
        assert resolve(f"{HERE}/mine.onnx").is_file()
        with pytest.raises(ModelError, match=r"has no manifest\.toml; cmfl show"):
            facts(HERE)

    def test_the_only_file_in_a_folder(self, plain: Hub) -> None:
        for path in plain.root.glob("*.onnx"):
            path.unlink()
        refused(HERE, r"neither a manifest\.toml nor an \.onnx file")
        write_weights(plain.root / "onnx" / "model.onnx", "mine")
        assert pull(HERE).path == resolve(HERE) == resolve(f"{HERE}/onnx/model.onnx")

    def test_nothing_says_the_sha256(self, plain: Hub) -> None:
        plain.lfs = False
        refused(f"{HERE}/mine.onnx", r"nothing says the SHA-256 of mine\.onnx")

    @pytest.mark.parametrize("size", [str(2**31 + 1), "9" * 30, "0", "-1", "many"])
    def test_a_size_that_cannot_be(self, plain: Hub, size: str) -> None:
        plain.sizes["mine.onnx"] = size
        refused(f"{HERE}/mine.onnx", "must be a number of bytes from 1 to 2147483648")
        assert not plain.asked("GET", "mine.onnx")

    def test_another_size(self, plain: Hub) -> None:
        plain.sizes["mine.onnx"] = "100"
        refused(f"{HERE}/mine.onnx", "has more than the expected 100 bytes; nothing was kept")

    def test_another_content(self, plain: Hub) -> None:
        plain.sums["mine.onnx"] = "0" * 64
        refused(f"{HERE}/mine.onnx", "is not the expected file: its SHA-256 is")


class TestRefused:
    def test_git_lfs_and_the_manifest_disagree(self, hub: Hub) -> None:
        hub.sums["mine.onnx"] = "0" * 64
        refused(HERE, r"manifest\.toml and Git LFS disagree about mine\.onnx")
        assert not hub.asked("GET", "/cdn/")

    def test_other_weights_than_in_the_manifest(self, hub: Hub) -> None:
        hub.lfs = False
        weights = hub.root / "mine.onnx"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        refused(HERE, "is not the expected file: its SHA-256 is")

    def test_another_document_than_in_the_manifest(self, hub: Hub) -> None:
        (hub.root / "card.md").write_text("changed")
        refused(HERE, r"card\.md is not the file in the manifest")

    def test_a_truncated_file(self, plain: Hub) -> None:
        path = plain.root / "mine.onnx"
        plain.sizes["mine.onnx"] = str(path.stat().st_size + 1)
        refused(f"{HERE}/mine.onnx", r"ended after \d+ of \d+ bytes; run the command again to continue")

    def test_a_redirection_to_something_unsafe(self, hub: Hub) -> None:
        hub.redirect = "file:///etc/passwd"
        refused(HERE, r"Redirection to url .* is not allowed")

    @pytest.mark.parametrize("text", [f"{HERE}@v2", "hf://owner/other", f"{HERE}@{'c' * 40}"])
    def test_nothing_of_this_name(self, hub: Hub, text: str) -> None:
        refused(text, "404 Not Found; no such repository, revision or file")

    def test_an_answer_for_another_commit(self, hub: Hub) -> None:
        hub.answers_for = OTHER_COMMIT
        refused(HERE, f"answers for the commit '{OTHER_COMMIT}'")

    @pytest.mark.parametrize("name", ["../x.onnx", "/etc/x", "a//b", "a\\b", "a/../../x"])
    def test_names_outside_of_the_repository(self, hub: Hub, name: str) -> None:
        hub.listed = [name]
        refused(HERE, "is no path within a repository; nothing was kept")

    @pytest.mark.parametrize("answer", ["[]", '{"sha": "main", "siblings": []}', '{"sha": 1}', "<html>", "{"])
    def test_no_hub(self, hub: Hub, answer: str) -> None:
        hub.answer = answer
        refused(HERE, r"does not answer like https://huggingface\.co; is it the address of a hub\?")


class TestToken:
    def test_only_the_hub_gets_it(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.token = "hf_secret"
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        lines = "".join(pull(HERE).lines())
        assert "secret" not in lines
        assert hub.asked("GET", "/cdn/") == [""]
        assert set(hub.asked("GET", "/owner/model/")) == {"Bearer hf_secret"}

    @pytest.mark.parametrize("code", [401, 403])
    def test_refusals(self, hub: Hub, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.token, hub.code = "hf_right", code
        refused(HERE, rf"{code} .*; private, gated or no such repository; set HF_TOKEN")
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        refused(HERE, rf"{code} .*; the token in HF_TOKEN gives no access to it")

    def test_where_it_may_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
        assert hub_token("https://a.org") == hub_token("http://127.0.0.1:1") == hub_token("http://localhost")
        assert hub_token("http://a.org") == hub_token("http://127.0.0.1.a.org") == ""
        monkeypatch.setenv("HF_TOKEN", "two\nlines")
        with pytest.raises(UsageError, match="HF_TOKEN is not a token") as caught:
            hub_token("https://a.org")
        assert "lines" not in str(caught.value)


class TestAddresses:
    @pytest.mark.parametrize(
        "text",
        [
            "hf://owner",
            "hf://owner/../x",
            f"{HERE}@../x",
            f"{HERE}@a%2F..%2Fb",
            f"{HERE}@",
            f"{HERE}@-x",
            f"{HERE}/../x.onnx",
            f"{HERE}/a/../../x.onnx",
            f"{HERE}/card.md",
            f"{HERE}//x.onnx",
            "hf://con/x",
            f"{HERE}@a b",
        ],
    )
    def test_tricks(self, text: str) -> None:
        with pytest.raises(UsageError, match="is no model in a hub; write hf://owner/name@revision"):
            Address.parse(text)

    def test_models_and_images(self) -> None:
        assert is_address(HERE)
        assert is_address(f"{HERE}@main/onnx/model.onnx")
        assert not is_address(f"{HERE}/photo.jpg")
        assert not is_address("hf://datasets/owner/photos")
        assert not is_address("owner/model")
        assert model_and_inputs([HERE, "a.png"], None) == (HERE, ["a.png"])
        with pytest.raises(UsageError, match="is the model; give images"):
            model_and_inputs([HERE], None)


class TestFromPretrained:
    def test_every_kind_of_name(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(hub.root.parent)
        image = np.zeros((224, 224, 3), np.uint8)
        scores = [
            Detector.from_pretrained(model, provider="cpu").predict(image)
            for model in (
                "owner/model",
                "owner/model@v1",
                f"{HERE}@{COMMIT}",
                "mine",
                "mine/mine.onnx",
                hub.root,
            )
        ]
        assert len({score.p_real for score in scores if isinstance(score, Prediction)}) == 1

    def test_nothing_is_pulled_but_by_it(self, hub: Hub) -> None:
        with pytest.raises(ModelError, match=f"not on this machine; run: cmfl zoo pull {HERE}$"):
            Detector(HERE)
        assert hub.requests == []

    def test_folders_without_a_manifest(self, plain: Hub) -> None:
        with pytest.raises(ModelError, match=r"has no manifest\.toml and 2 \.onnx files"):
            Detector.from_pretrained(plain.root)
        (plain.root / "mine-int8.onnx").unlink()
        assert Detector.from_pretrained(plain.root, provider="cpu").path == plain.root / "mine.onnx"
