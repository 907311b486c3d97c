"""Pulling: from a mirror or the manifest's addresses; what is here needs no network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cmfl_export.base.cache import cache_folder
from cmfl_export.base.errors import CmflError
from models_zoo import places, registry
from models_zoo.listing import table
from models_zoo.manifest import MANIFEST, Manifest
from models_zoo.pull import pull
from tests.cmfl_export.command import CMFL, ENVIRONMENT
from tests.models_zoo.folders import model_folder
from tests.models_zoo.server import Server


def rewrite(folder: Path, **changes: Any) -> None:
    """Changes what a manifest says."""
    manifest = replace(Manifest.read(folder / MANIFEST), **changes)
    (folder / MANIFEST).write_text(manifest.to_toml())


class TestFromAMirror:
    def test_one_variant_at_a_time(self, server: Server, mirror: Path) -> None:
        first = pull("mine", mirror=server.url)
        assert first.path.read_bytes() == (mirror / "mine" / "mine.onnx").read_bytes()
        assert first.source == f"{server.url}/mine/mine.onnx"
        assert registry.names() == ["mine"]
        second = pull("mine:int8", mirror=server.url)
        assert second.path.name == "mine-int8.onnx"
        paths = [path for path, _ in server.requests]
        assert sorted(paths) == sorted(
            f"/mine/{n}" for n in ("manifest.toml", "card.md", "recipe.toml", "mine.onnx", "mine-int8.onnx")
        )

    def test_again_without_a_network(self, server: Server) -> None:
        pull("mine", mirror=server.url)
        count = len(server.requests)
        again = pull("mine", mirror="http://127.0.0.1:1")
        assert again.source == ""
        assert "already here, SHA-256 checked" in again.lines()[0]
        assert len(server.requests) == count
        with pytest.raises(CmflError, match="cannot be reached"):
            pull("mine:int8", mirror="http://127.0.0.1:1")

    @pytest.mark.parametrize("form", ["{0}", "file://{0}"])
    def test_folders(self, mirror: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMFL_ZOO", form.format(mirror))
        assert registry.get("mine").place == registry.MIRROR
        pulled = pull("mine")
        assert pulled.path.is_relative_to(cache_folder())
        assert registry.get("mine").place == registry.OWN
        shutil.rmtree(mirror)
        monkeypatch.delenv("CMFL_ZOO")
        assert registry.get("mine").path_of_weights() == pulled.path

    def test_an_address_with_a_query(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMFL_ZOO", f"{server.url}/?token=secret")
        assert "secret" not in "".join(pull("mine").lines())
        assert server.asked("mine.onnx?token=secret") == [""]

    def test_unknown_names_and_tricks(self, server: Server) -> None:
        with pytest.raises(CmflError, match=r"other/manifest\.toml cannot be downloaded: 404"):
            pull("other", mirror=server.url)
        for name in ("../mine", "mine/../mine", "", "C:x", "con"):
            with pytest.raises(CmflError, match="no such model"):
                pull(name, mirror=server.url)
        with pytest.raises(
            CmflError, match=r"no such model; the zoo has: nothing yet; .* --from or CMFL_ZOO"
        ):
            pull("mine")

    def test_a_manifest_of_another_model(self, server: Server, mirror: Path) -> None:
        shutil.copytree(mirror / "mine", mirror / "other")
        with pytest.raises(
            CmflError, match=r"other/manifest\.toml: name: 'mine' must be the name of the folder, 'other'"
        ):
            pull("other", mirror=server.url)

    @pytest.mark.parametrize("name", ["../../evil.md", "/tmp/evil.md", "nul"])
    def test_path_tricks_in_the_manifest(self, server: Server, mirror: Path, name: str) -> None:
        path = mirror / "mine" / MANIFEST
        path.write_text(path.read_text().replace('"card.md"', f'"{name}"'))
        with pytest.raises(CmflError, match="must be the name of one file"):
            pull("mine", mirror=server.url)
        assert registry.names() == []

    def test_another_document_than_promised(self, server: Server, mirror: Path) -> None:
        (mirror / "mine" / "card.md").write_text("changed")
        with pytest.raises(CmflError, match=r"mine/card\.md is not the file in the manifest"):
            pull("mine", mirror=server.url)
        assert registry.names() == []

    def test_other_weights_than_promised(self, server: Server, mirror: Path) -> None:
        weights = mirror / "mine" / "mine.onnx"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        with pytest.raises(CmflError, match="is not the expected file: its SHA-256"):
            pull("mine", mirror=server.url)
        with pytest.raises(
            CmflError, match="the weights of mine are not on this machine; run: cmfl zoo pull"
        ):
            registry.get("mine").path_of_weights()

    def test_a_newer_version_on_request(self, server: Server, mirror: Path) -> None:
        pull("mine", mirror=server.url)
        rewrite(mirror / "mine", version="2.0.0")
        for refresh, version in ((False, "1.0.0"), (True, "2.0.0")):
            pulled = pull("mine", mirror=server.url, refresh=refresh)
            assert pulled.what.startswith(f"mine {version} ")
        assert registry.get("mine").manifest.version == "2.0.0"

    def test_damage_is_repaired(self, server: Server) -> None:
        path = pull("mine", mirror=server.url).path
        path.write_bytes(b"damaged")
        with pytest.raises(CmflError, match="is not the file in the manifest of mine"):
            registry.get("mine").path_of_weights()
        assert pull("mine", mirror=server.url).source
        assert registry.get("mine").path_of_weights() == path

    def test_a_mirror_that_is_gone(self, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pull("mine", mirror=str(mirror))
        monkeypatch.setenv("CMFL_ZOO", str(mirror / "gone"))
        assert registry.get("mine").path_of_weights().is_file()
        with pytest.raises(CmflError, match=r"CMFL_ZOO: .*gone is not a folder"):
            registry.find("other")

    @pytest.mark.parametrize(
        "text", ["ftp://a.org/zoo", "https://", "http://[x", "file://host/zoo", "absent"]
    )
    def test_no_mirrors(self, zoo: Path, text: str) -> None:
        with pytest.raises(
            CmflError, match=r"is not a mirror; give a folder|is not a folder; give one laid out"
        ):
            pull("mine", mirror=text)


class TestList:
    def test_what_the_mirror_has(self, server: Server, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMFL_ZOO", server.url)
        (line, note) = table()
        assert line.startswith("no models yet")
        assert re.search(r"list of models cannot be read: .*/index\.txt cannot be downloaded: 404", note)
        (mirror / "index.txt").write_text("mine\nother\n../evil\n")
        assert [line.split()[:4] for line in table()[1:]] == [
            ["mine", "-", "-", "mirror"],
            ["other", "-", "-", "mirror"],
        ]
        pull("mine")
        assert [line.split()[:5] for line in table()[1:]] == [
            ["mine", "1.0.0", "fp32,", "int8", "own"],
            ["other", "-", "-", "mirror", "cmfl"],
        ]

    def test_a_folder(self, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMFL_ZOO", str(mirror))
        assert table()[1].split()[4:6] == ["mirror", "here"]


class TestPackaged:
    @pytest.fixture
    def packaged(self, zoo: Path) -> Path:
        """A packaged model without its weights."""
        folder = model_folder(zoo, "mine")
        (folder / "mine.onnx").unlink()
        return folder

    def test_keeps_its_manifest(self, packaged: Path, server: Server, mirror: Path) -> None:
        rewrite(mirror / "mine", version="6.6.6", description="another")
        pulled = pull("mine", mirror=server.url, refresh=True)
        assert pulled.what.startswith("mine 1.0.0 ")
        assert registry.get("mine").place == registry.PACKAGED
        assert server.requests == [("/mine/mine.onnx", "")]
        assert not places.own_models().exists()

    def test_without_an_address(self, packaged: Path) -> None:
        with pytest.raises(CmflError, match=r"the manifest of mine names no address for mine\.onnx"):
            pull("mine")

    @pytest.fixture
    def addresses(self, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Gives the weights addresses; http, which a manifest would not get through the checks with."""

        def give(*urls: str) -> None:
            model = registry.get("mine")
            files = tuple(replace(file, urls=urls) if file.variant else file for file in model.manifest.files)
            changed = replace(model, manifest=replace(model.manifest, files=files))
            monkeypatch.setattr(registry, "find", {"mine": changed}.get)

        return give

    def test_addresses_in_order(self, addresses: Callable[..., None], server: Server) -> None:
        addresses("http://127.0.0.1:1/mine.onnx", f"{server.url}/absent", f"{server.url}/mine/mine.onnx")
        assert pull("mine").source == f"{server.url}/mine/mine.onnx"

    def test_every_failure_is_named(self, addresses: Callable[..., None], server: Server) -> None:
        addresses("http://127.0.0.1:1/mine.onnx", f"{server.url}/absent")
        with pytest.raises(CmflError, match=r"cannot be reached: .*; .*/absent cannot be downloaded: 404"):
            pull("mine")


def test_processes_at_once(server: Server) -> None:
    server.delay = 0.3
    environment = ENVIRONMENT | {"CMFL_CACHE": str(cache_folder())}
    command = [CMFL, "zoo", "pull", "mine", "--from", server.url]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert all("SHA-256 checked" in output for output in outputs)
    assert len(server.asked("mine.onnx")) == 1
    assert registry.get("mine").path_of_weights().is_file()


class TestPlaces:
    def test_by_system(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("CMFL_CACHE", raising=False)
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        for system, variable, expected in (
            ("linux", "XDG_CACHE_HOME", ".cache"),
            ("darwin", "", "Library/Caches"),
            ("win32", "LOCALAPPDATA", "AppData/Local"),
        ):
            monkeypatch.setattr(sys, "platform", system)
            if variable:
                monkeypatch.delenv(variable, raising=False)
            assert cache_folder() == tmp_path / expected / "cmfl-export"
            if variable:
                monkeypatch.setenv(variable, "/elsewhere")
                assert cache_folder() == Path("/elsewhere/cmfl-export")
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_folder() == tmp_path / ".cache" / "cmfl-export"

    def test_a_user_without_a_home(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("CMFL_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", no_home)
        assert registry.names() == []
        assert registry.find("mine") is None
        with pytest.raises(CmflError, match="cannot write /dev/null/"):
            pull("mine", mirror=server.url)

    def test_on_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMFL_CACHE", "/given")
        assert cache_folder() == Path("/given")

    def test_a_drive_is_no_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(CmflError, match="C:zoo is not a folder"):
            places.mirror("C:zoo")
        monkeypatch.setenv("CMFL_ZOO", "absent")
        with pytest.raises(CmflError, match="CMFL_ZOO: absent is not a folder"):
            places.mirror()
