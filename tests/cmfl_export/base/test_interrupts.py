"""A command ends within seconds of a signal, whatever runs, and its outputs are whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmfl_export.predict import read_rows
from tests.cmfl_export.command import ENVIRONMENT

# The command line with a library that does not come back: C code that lets others run and minds no signal.
STUCK = """
import hashlib, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from cmfl_export import cli, detector, runtime
from cmfl_export.predict import clips, run as predict
place, sys.argv = sys.argv[1], sys.argv[1:]

def stuck():
    if place in ("decoder", "model"):
        a_row.wait(60)  # of those before, in the table and on the page
    print("stuck", file=sys.stderr, flush=True)
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2**31 - 1)

a_row, stream = threading.Event(), detector.Detector.stream

def watched_stream(*arguments, **options):
    for row in stream(*arguments, **options):
        yield row
        a_row.set()

detector.Detector.stream = watched_stream
decode, run, walk = detector.Detector.images_of, runtime.Session.run, clips.paths_of

def slow_decode(self, picture):
    if "b.png" in str(picture):
        stuck()
    return decode(self, picture)

runs = []
def slow_run(self, batch, *rest, **options):
    runs.append(1)
    if len(runs) == 2:
        stuck()
    return run(self, batch, *rest, **options)

def slow_walk(*arguments, **options):
    for number, path in enumerate(walk(*arguments, **options)):
        if number == 8:
            stuck()
        yield path

def swallow(*_, **__):
    while True:
        try:
            stuck()
        except BaseException:
            pass

if place == "decoder":
    detector.Detector.images_of = slow_decode
elif place == "model":
    runtime.Session.run = slow_run
elif place == "main thread":
    clips.paths_of = slow_walk
elif place == "library":
    predict.count_paths = swallow
    clips.paths_of = swallow
cli.main()
"""


def interrupted(
    place: str, model: Path, out: Path, inputs: list[str], number: int, *, twice: bool
) -> tuple[int, list[str]]:
    """Exit code and lines on standard error. What is stuck would go on for half an hour, and fails here."""
    command = [sys.executable, "-c", STUCK, place, "predict", str(model), *inputs, "-o", str(out)]
    options = ["--provider", "cpu", "--batch-size", "1", "--workers", "1"]
    page = out.with_suffix(".html") if place in ("decoder", "model") else None
    if page:
        options += ["--report", str(page)]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "stuck\n"
        process.send_signal(number)
        if twice:
            # The second signal would end it before the page of the rows so far.
            until = time.monotonic() + 60
            while page and not page.exists() and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    finally:
        # What does not end by itself would take the processor from every test after it.
        process.kill()
    return process.returncode, said.splitlines()


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("place", ["decoder", "model", "main thread", "library"])
def test_ctrl_c_ends_whatever_runs(tiny: Path, faces: Path, tmp_path: Path, place: str, twice: bool) -> None:
    inputs = [str(faces / "a.png")] * 9 + [str(faces / "b.png")] * 9
    out = tmp_path / "rows.csv"
    code, said = interrupted(place, tiny, out, inputs, signal.SIGINT, twice=twice)
    assert code == 130
    assert said[-1] == "cmfl: interrupted"
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"rows.csv", "rows.csv.setup.json", "rows.html"}
    if place == "library":
        assert not left
    else:
        rows = list(read_rows(out))
        assert {row.path for row in rows} <= {str(faces / "a.png")}
        assert rows or place == "main thread"
        # The page of the rows so far.
        assert ("rows.html" in left) == (place in ("decoder", "model"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["SIGTERM", "SIGHUP"]
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_other_signals_clean_up_as_well(
    tiny: Path, faces: Path, tmp_path: Path, number: signal.Signals, code: int, name: str
) -> None:
    inputs = [str(faces / "a.png")] * 9 + [str(faces / "b.png")] * 9
    found, said = interrupted("decoder", tiny, tmp_path / name, inputs, number, twice=False)
    assert found == code
    assert said == [f"cmfl: interrupted by {number.name}"]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"rows.csv", "rows.csv.setup.json", "rows.html"} if name == "rows.csv" else {"rows.html"})


def test_a_main_thread_that_is_busy_leaves_no_part_and_no_lock(
    tiny: Path, faces: Path, tmp_path: Path
) -> None:
    inputs = [str(faces / "a.png")] * 12
    out = tmp_path / "rows.json"
    code, _ = interrupted("main thread", tiny, out, inputs, signal.SIGTERM, twice=False)
    assert code == 143
    assert not list(tmp_path.iterdir())


def test_a_signal_that_was_ignored_stays_ignored(tiny: Path, faces: Path, tmp_path: Path) -> None:
    """nohup, and Ctrl-C for jobs in the background of a script."""
    script = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    many = [str(faces / "a.png")] * 300
    command = [
        sys.executable,
        "-c",
        "from cmfl_export.cli import main; main()",
        *("predict", str(tiny), *many, "-o", str(tmp_path / "rows.csv"), "--provider", "cpu"),
    ]
    process = subprocess.Popen([sys.executable, "-c", script, *command], env=ENVIRONMENT)
    while not (tmp_path / "rows.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    assert len(list(read_rows(tmp_path / "rows.csv"))) == 300


def test_a_forked_child_does_not_interrupt_its_parent(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
from cmfl_export.base import interrupts
interrupts.install()
child = os.fork()
if not child:
    time.sleep(600)
os.kill(child, signal.SIGTERM)
assert os.waitpid(child, 0)[1] == signal.SIGTERM
time.sleep(2)
assert interrupts.code() is None
interrupts.leave(5)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 5


def test_two_commands_in_one_process_keep_no_signal_back() -> None:
    """A process that forks after two commands, and what it starts then, can still be interrupted."""
    program = """
import os, signal
from cmfl_export.base import interrupts
interrupts.install()
interrupts.install()
child = os.fork()
if not child:
    os._exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
assert os.waitpid(child, 0)[1] == 0
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
interrupts.leave(5)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 5


def test_a_library_is_not_ended_by_a_closed_stream(tiny: Path, faces: Path) -> None:
    """Closing a stream of rows neither waits for a decoder that is busy nor touches the host's signals."""
    program = f"""
import signal, sys, threading
from cmfl_export import Detector, detector
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
busy = threading.Event()
decode = Detector.images_of
def slow(self, picture):
    if "b.png" in str(picture):
        busy.wait(60)
    return decode(self, picture)
Detector.images_of = slow
pictures = [{str(faces / "a.png")!r}] * 2 + [{str(faces / "b.png")!r}]
stream = Detector({str(tiny)!r}, provider="cpu", batch_size=1).stream(iter(pictures))
assert next(stream).ok
stream.close()
assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
busy.set()
print("alive")
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout) == (0, "alive\n"), result.stderr
