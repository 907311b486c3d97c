"""One writer at a time, and locks that neither a kill nor a link gets around."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.base.locks import exclusive, exclusive_folder, one_writer
from cmfl_export.predict import open_writer

HOLD = """
import sys, time
from pathlib import Path
from cmfl_export.base import locks
with getattr(locks, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["exclusive", "exclusive_folder"])
def test_another_process_is_refused_until_it_is_killed(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    hold = exclusive if kind == "exclusive" else exclusive_folder
    process = subprocess.Popen([sys.executable, "-c", HOLD, kind, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(CmflError, match=f"another process is writing {target}; wait"), hold(target):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with hold(target):
        pass
    assert not [name for name in names_in(tmp_path) if name != "out"]


def test_links_and_other_spellings_are_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, link = tmp_path / "out.json", tmp_path / "link.json"
    target.touch()
    link.symlink_to(target)
    monkeypatch.chdir(tmp_path)
    with exclusive(target):
        for other in (link, Path("out.json"), tmp_path / "." / "out.json"):
            with pytest.raises(CmflError, match="another process"), exclusive(other):
                pass
    assert names_in(tmp_path) == ["link.json", "out.json"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.parquet"])
def test_rows_have_one_writer_and_the_second_leaves_them_alone(tmp_path: Path, name: str) -> None:
    with open_writer(tmp_path / name) as writer:
        writer.write([])
        before = (tmp_path / name).read_bytes() if name in ("rows.csv", "rows.jsonl") else b""
        with pytest.raises(CmflError, match="another process"), open_writer(tmp_path / name):
            pass
        if before:
            assert (tmp_path / name).read_bytes() == before
    with open_writer(tmp_path / name):
        pass
    assert names_in(tmp_path) == [name]


def test_a_hard_link_to_rows_that_grow_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "rows.csv"):
        (tmp_path / "other.csv").hardlink_to(tmp_path / "rows.csv")
        with pytest.raises(CmflError, match="another process"), open_writer(tmp_path / "other.csv"):
            pass


def test_devices_and_pipes_are_not_locked(tmp_path: Path) -> None:
    null = Path(os.devnull)
    with exclusive(null), exclusive(null), open_writer(null, "csv"), open_writer(null, "csv"):
        pass
    assert null.is_char_device()


def test_folders_that_stay_empty_go_away(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new" / "folder" / "x.json"):
        assert (tmp_path / "new" / "folder").is_dir()
    with exclusive_folder(tmp_path / "other" / "run"):
        assert (tmp_path / "other" / "run").is_dir()
    assert not names_in(tmp_path)
    with exclusive_folder(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert names_in(tmp_path / "run") == ["kept"]


def test_a_forked_child_keeps_no_lock(tmp_path: Path) -> None:
    with exclusive_folder(tmp_path):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, b"here")
            time.sleep(600)
            os._exit(0)
        assert os.read(reader, 4) == b"here"
        os.close(reader)
        os.close(writer)
    try:
        with exclusive_folder(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_function_holds_the_outputs_that_it_is_given(tmp_path: Path) -> None:
    @one_writer("out", "plot")
    def work(out: Path | None, *, plot: str | None = None) -> int:
        for path in (out, plot):
            if path is not None:
                with pytest.raises(CmflError, match="another process"), exclusive(Path(path)):
                    pass
        return 7

    assert work(None) == work(tmp_path / "x.json", plot=str(tmp_path / "y.png")) == 7
    assert not names_in(tmp_path)
