"""onnxruntime-web behind the same session: the same scores, and each end of Node is an error."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cmfl_export.base.errors import ModelError, ProviderError
from cmfl_export.runtime import node, open_web, web_trouble
from cmfl_export.runtime.session import Session
from cmfl_export.runtime.web import PACKAGE_VARIABLE, WebModel, find_package
from cmfl_export.zoo import resolve
from tests.cmfl_export import tiny_model
from tests.conftest import picture

ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
BATCH = np.stack([picture(number) for number in range(7)])
ALL_OUTPUTS = [*tiny_model.SCORES, "embedding"]


def needed_package() -> Path:
    """The package. Where there is none the test is skipped, or fails when CMFL_REQUIRE_WEB is set."""
    found = find_package()
    if found is None:
        trouble = web_trouble()
        assert trouble is not None
        why = f"needs onnxruntime-web in Node.js: {trouble.cause}; to fix it: {trouble.remedy}"
        if os.environ.get("CMFL_REQUIRE_WEB"):
            pytest.fail(f"CMFL_REQUIRE_WEB is set, and this test {why}")
        pytest.skip(why)
    return found


@pytest.fixture(scope="module")
def package() -> Path:
    return needed_package()


def model_of(session: Session) -> WebModel:
    engine = session._engine
    assert isinstance(engine, WebModel)
    return engine


def process_of(session: Session) -> subprocess.Popen[bytes]:
    return model_of(session)._process._process


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan may wait for a first process that collects none


@pytest.mark.parametrize(("variant", "tolerance"), [("starter", 1e-5), ("starter:int8", 1e-2)])
def test_the_starter_scores_as_with_onnx_runtime(variant: str, tolerance: float, package: Path) -> None:
    path = resolve(variant)
    there, here = Session.open(path, "onnxruntime", exact=True), open_web(path)
    assert (here.provider, here.threads, here.full_batches) == ("web", 1, False)
    assert (here.outputs, here.card, here.sha256) == (there.outputs, there.card, there.sha256)
    assert model_of(here).version == json.loads((package / "package.json").read_text())["version"]
    apart = BATCH[[1, 6]]
    expected, got = there.run(apart), here.run(apart)
    assert np.ptp(expected["p_real"]) > 0.1
    for name in there.score_outputs:
        np.testing.assert_allclose(got[name], expected[name], atol=tolerance, rtol=0)


def test_outputs_of_all_ranks(model_file: Path, package: Path) -> None:
    there, here = Session.open(model_file, "onnxruntime"), open_web(model_file)
    expected, got = there.run(BATCH[:2]), here.run(BATCH[:2])
    assert tuple(got) == there.outputs
    assert {value.ndim for value in got.values()} == {1, 2, 3, 4}
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=2e-4 * max(1, np.abs(value).max()), rtol=0)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_batches_of_all_sizes(size: int, tmp_path: Path, package: Path) -> None:
    session = open_web(tiny_model.write(tmp_path / "m.onnx", outputs=ALL_OUTPUTS))
    got = session.run(BATCH[:size], ["p_real_spectrum", "embedding", "p_real"])
    assert list(got) == ["p_real_spectrum", "embedding", "p_real"]
    scores = np.array([tiny_model.expected(image) for image in BATCH[:size]])
    np.testing.assert_allclose(got["p_real"], scores[:, 0], atol=1e-6)
    np.testing.assert_allclose(got["p_real_spectrum"], scores[:, 2], atol=1e-6)
    np.testing.assert_allclose(got["embedding"], BATCH[:size].mean((1, 2)) / 255, atol=1e-6)
    strided = BATCH[:size, ::-1, :, ::-1]
    reverse = session.run(strided)
    np.testing.assert_allclose(reverse["p_real_rgb"], scores[:, 2], atol=1e-6)
    reverse["p_real"][:] = 0  # as with other runtimes, the caller's to write to


def test_threads_take_turns(tiny: Path, package: Path) -> None:
    session = open_web(tiny)
    batches = [np.full((1 + value % 3, 224, 224, 3), value, np.uint8) for value in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(session.run, batches))
    for value, (batch, result) in enumerate(zip(batches, results, strict=True)):
        np.testing.assert_allclose(result["p_real"], [value / 255] * len(batch), atol=1e-6)


def test_a_killed_process_is_an_error_each_time(tiny: Path, package: Path) -> None:
    session = open_web(tiny)
    assert len(session.run(BATCH[:1])["p_real"]) == 1
    process_of(session).kill()
    for _ in range(2):
        with pytest.raises(ProviderError, match=r"tiny\.onnx: onnxruntime-web: Node ended .*load the model"):
            session.run(BATCH)


def test_an_interrupted_run_gives_its_answer_to_no_other(
    tiny: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_web(tiny)

    def interrupt(_self: node.NodeProcess) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(node.NodeProcess, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.run(BATCH[:1])
    with pytest.raises(ProviderError, match="a run was interrupted; load the model again"):
        session.run(BATCH[:1])


@ON_LINUX
def test_ctrl_c_leaves_the_process_to_its_parent(tiny: Path, package: Path) -> None:
    session = open_web(tiny)
    process_of(session).send_signal(signal.SIGINT)
    assert len(session.run(BATCH[:1])["p_real"]) == 1


@ON_LINUX
def test_the_process_ends_with_its_session(tiny: Path, package: Path) -> None:
    session = open_web(tiny)
    pid = process_of(session).pid
    assert is_running(pid)
    del session
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()


CHILD = """
import os, sys
import numpy as np
from cmfl_export import CmflError
from cmfl_export.runtime import open_web
session = open_web(sys.argv[1])
print(session._engine._process._process.pid, flush=True)
batch = np.full((1, 224, 224, 3), 51, np.uint8)
if sys.argv[2] == "dies":
    os._exit(1)
if os.fork() == 0:
    try:
        session.run(batch)
    except CmflError as error:
        print("refused", error)
    del session
    sys.exit(0)
os.wait()
print("scored", round(float(session.run(batch)["p_real"][0]), 3))
"""


@ON_LINUX
@pytest.mark.parametrize("what", ["dies", "forks"])
def test_the_process_ends_with_python(what: str, tiny: Path, package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tiny), what],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    pid, *lines = done.stdout.splitlines()
    if what == "forks":
        assert (done.returncode, done.stderr) == (0, "")
        refused, scored = lines
        assert "before this process was forked" in refused
        assert scored == "scored 0.2"
    deadline = time.monotonic() + 30
    while is_running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(pid))


def test_an_error_of_one_run_leaves_the_next_alone(tiny: Path, package: Path) -> None:
    model = WebModel(tiny, tiny.read_bytes(), package)
    with pytest.raises(ProviderError, match=r"tiny\.onnx: onnxruntime-web failed: .*nothing") as caught:
        model.run(["nothing"], BATCH[:1])
    assert "\n" not in str(caught.value)
    assert len(model.run(["p_real"], BATCH[:2])[0]) == 2


def test_garbage_instead_of_a_model(tmp_path: Path, package: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model" * 1000)
    with pytest.raises(ModelError, match="not an ONNX file"):
        open_web(path)
    with pytest.raises(ProviderError, match=r"m\.onnx: onnxruntime-web failed: ") as caught:
        WebModel(path, path.read_bytes(), package)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("console.log('hello world'); process.stdin.resume()", "something else than a result: b'hell'"),
        (
            "process.stdout.write('\\x02\\0\\0\\0[]'); process.stdin.resume()",
            r"something else than a result: b'\[\]'",
        ),
        (
            "process.stdout.write('\\x0c\\0\\0\\0{\"bytes\":-1}'); process.stdin.resume()",
            'something else than a result: b.{"bytes":-1}',
        ),
        ("process.stdout.write('\\x02\\0\\0\\0')", "Node ended with exit code 0; a current release"),
        ("process.exit(3)", "Node ended with exit code 3; a current release of Node.js may be needed"),
        ("throw new TypeError('no such thing')", "exit code 1: TypeError: no such thing; a current"),
        ("const = 1", "exit code 1: SyntaxError: Unexpected token"),
        ("process.abort()", "Node ended by SIGABRT"),
    ],
)
def test_a_script_that_does_something_else(script: str, message: str, tmp_path: Path, package: Path) -> None:
    file = tmp_path / "other.mjs"
    file.write_text(script)
    for size in (10, 1_000_000):  # what a pipe holds, and more
        with pytest.raises(ProviderError, match=f"m.onnx: onnxruntime-web: .*{message}") as caught:
            WebModel("m.onnx", bytes(size), package, file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_script_that_hangs(
    size: int, tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "LONGEST_ANSWER", 0.5)
    file = tmp_path / "other.mjs"
    file.write_text("setInterval(() => {}, 1000)")
    with pytest.raises(ProviderError, match=r"no answer within 0\.5 s"):
        WebModel("m.onnx", bytes(size), package, file)


def test_a_process_that_closes_its_output(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_GOODBYE", 0.2)
    file = tmp_path / "other.mjs"
    file.write_text("import fs from 'node:fs'; fs.closeSync(1); setInterval(() => {}, 1000)")
    with pytest.raises(ProviderError, match="Node closed its pipes"):
        WebModel("m.onnx", b"", package, file)


def make_package(folder: Path) -> Path:
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "onnxruntime-web"}')
    (folder / "dist" / "ort.wasm.min.mjs").write_text("")
    return folder


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, of a machine that has Node and no package."""
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/node")
    monkeypatch.delenv(PACKAGE_VARIABLE, raising=False)
    folder = tmp_path / "project" / "deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("up", [0, 1, 2])
def test_finds_the_package_as_node_does(up: int, somewhere: Path) -> None:
    (somewhere / "node_modules").mkdir()
    installed = make_package([somewhere, *somewhere.parents][up] / "node_modules" / "onnxruntime-web")
    assert find_package() == installed
    assert web_trouble() is None


def test_the_variable_comes_first(somewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(somewhere / "node_modules" / "onnxruntime-web")
    named = make_package(somewhere / "package")
    monkeypatch.setenv(PACKAGE_VARIABLE, "package")
    assert find_package() == named


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "onnxruntime-node"}'])
def test_a_variable_that_names_something_else(
    content: str | None, somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(somewhere / "node_modules" / "onnxruntime-web")
    monkeypatch.setenv(PACKAGE_VARIABLE, "other")
    (somewhere / "other").mkdir()
    if content is not None:
        (somewhere / "other" / "package.json").write_text(content)
    trouble = web_trouble()
    assert find_package() is None
    assert trouble is not None
    assert trouble.cause == "other is not the folder of the npm package onnxruntime-web"
    assert trouble.remedy.startswith("npm install onnxruntime-web, and let CMFL_ONNXRUNTIME_WEB name")


def test_what_is_missing_is_said(somewhere: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_package() is None
    with pytest.raises(
        ProviderError, match=r"not in node_modules of .*to fix it: npm install onnxruntime-web"
    ):
        open_web(tiny)
    (make_package(somewhere / "package") / "dist" / "ort.wasm.min.mjs").unlink()
    with pytest.raises(
        ProviderError, match=r"package has no dist/ort\.wasm\.min\.mjs; .*onnxruntime-web@latest"
    ):
        open_web(tiny, package="package")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(
        ProviderError, match=r"no node on PATH\); to fix it: install Node\.js, then: npm install"
    ):
        open_web(tiny)


def test_a_missing_package_fails_where_it_is_required(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMFL_REQUIRE_WEB", "1")
    with pytest.raises(pytest.fail.Exception, match="npm install onnxruntime-web"):
        needed_package()
    monkeypatch.delenv("CMFL_REQUIRE_WEB")
    with pytest.raises(pytest.skip.Exception, match="npm install onnxruntime-web"):
        needed_package()
