"""Signals that ask the command line to end, Ctrl-C first: a line, an exit status, nothing lost and nothing left."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sixteenfold.cli import main
from sixteenfold.errors import SixteenfoldError
from sixteenfold.signals import ASKING

from .conftest import write


def test_an_interrupt_ends_with_130(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(source: Path, target: Path, *, allow_huge: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sixteenfold.imaging.shrink.shrink_file", interrupt)
    photo = write(tmp_path / "photo.png", 2, 2)
    assert main(["downscale", str(photo), "-o", str(tmp_path / "result.png")]) == 130
    assert capsys.readouterr().err == "sixteenfold: interrupted\n"


def test_ctrl_c_while_python_imports_has_its_line_too() -> None:
    program = """
import runpy, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "sixteenfold.words":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
runpy.run_module("sixteenfold", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (130, "sixteenfold: interrupted\n")


def test_several_interrupts_leave_rows_and_no_traceback(tmp_path: Path, model: str) -> None:
    """As from somebody who holds Ctrl-C down."""
    words = ["upscale", write(tmp_path / "photo.png", 400, 300), "--device", "cpu", "--json", "--model", model]
    command = [sys.executable, "-m", "sixteenfold", *map(str, words)]
    # A shell's background job, in which this suite may run, ignores Ctrl-C, and so would what it starts.
    heeding = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, heeding)
    with started as process:
        assert process.stdout is not None and process.stderr is not None
        while '"rows": 256' not in process.stdout.readline():
            pass
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.stderr.readlines()[1:] == ["sixteenfold: interrupted\n"]
    assert process.returncode == 130
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", ".photo_x16.png.key", ".photo_x16.png.rows"}


@pytest.fixture
def asking(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends processes as nothing else was arranged, which of SIGHUP under nohup it is not."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


ends_like_ctrl_c = pytest.mark.parametrize("asking", ASKING, indirect=True)


def about_to_work(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch, instead: Callable[..., object]
) -> list[str]:
    """A command whose verb's work is something else."""
    monkeypatch.setattr("sixteenfold.imaging.shrink.shrink_file", instead)
    monkeypatch.setattr("sixteenfold.training.start.make_index", instead)
    photo, result = str(write(folder / "photo.png", 2, 2)), str(folder / "result")
    return {
        "downscale": ["downscale", photo, "-o", result + ".png"],
        "train": ["train", "smoke", "--hr", photo, "--out", result, "--device", "cpu"],
    }[verb]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
@pytest.mark.parametrize("verb", ["downscale", "train"])
@ends_like_ctrl_c
def test_a_signal_that_asks_to_end_is_an_interrupt(
    verb: str,
    asking: signal.Signals,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `train`, before its first step."""

    def end(*given: object, **named: object) -> tuple[str, ...]:
        assert signal.getsignal(asking) is not signal.SIG_DFL  # it would end the tests
        signal.raise_signal(asking)
        raise SixteenfoldError("not heeded")

    words = about_to_work(verb, tmp_path, monkeypatch, end)
    assert main(words) == 128 + asking
    assert capsys.readouterr().err == "sixteenfold: interrupted\n"
    assert signal.getsignal(asking) is signal.SIG_DFL
    # As under nohup.
    signal.signal(asking, signal.SIG_IGN)
    assert main(words) == 2
    assert capsys.readouterr().err == "sixteenfold: not heeded\n"
    assert signal.getsignal(asking) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("verb", "asking"),
    [("downscale", signal.SIGTERM), ("downscale", signal.SIGINT), ("train", signal.SIGINT)],
    indirect=["asking"],
)
def test_no_signal_is_lost_where_python_ignores_what_is_raised(
    verb: str,
    asking: signal.Signals,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in the callback by which libvips logs, in the midst of reading or writing a picture; on a machine so busy that
    the hook which sees to it takes longer than the signal takes to come again."""
    start = threading.Thread.start

    def slow(thread: threading.Thread) -> None:
        start(thread)
        for _ in range(10):
            time.sleep(0.01)

    monkeypatch.setattr(threading.Thread, "start", slow)
    if asking == signal.SIGINT:
        signal.signal(asking, signal.default_int_handler)
    lost: list[int] = []

    class Ignoring:
        def __del__(self) -> None:
            lost.append(1)
            signal.raise_signal(asking)

    def end(*given: object, **named: object) -> tuple[str, ...]:
        assert signal.getsignal(asking) is not signal.SIG_DFL  # it would end the tests
        for ignoring in ([Ignoring()] for _ in range(2)):
            ignoring.clear()
        for _ in range(100):
            time.sleep(0.05)
        return ()

    words = about_to_work(verb, tmp_path, monkeypatch, end)
    hook = sys.unraisablehook
    assert main(words) == 128 + asking
    assert lost == [1, 1]
    assert capfd.readouterr() == ("", "sixteenfold: interrupted\n")
    assert sys.unraisablehook is hook


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
@ends_like_ctrl_c
def test_asked_to_end_it_leaves_rows_and_no_traceback(asking: signal.Signals, tmp_path: Path, model: str) -> None:
    """SIGHUP as from a terminal that is closed, which takes no last line."""
    words = ["upscale", write(tmp_path / "photo.png", 2000, 40), "--device", "cpu", "--model", model]
    command = [sys.executable, "-m", "sixteenfold", *map(str, words)]
    rows = tmp_path / ".photo_x16.png.rows"
    environment = {**os.environ, "TERM": "xterm-256color"}
    outside, terminal = os.openpty()
    os.set_blocking(outside, False)
    shown, said = (terminal, terminal) if asking == signal.SIGHUP else (subprocess.DEVNULL, subprocess.PIPE)
    with (
        os.fdopen(outside, "rb", buffering=0) as window,
        subprocess.Popen(command, env=environment, stdout=shown, stderr=said, text=True) as process,
    ):
        while not (rows.exists() and rows.stat().st_size > 256 * 40 * 16 * 3):
            assert process.poll() is None
            window.read(4096)  # a terminal that nobody looks at is full soon, and whoever writes to it waits
            time.sleep(0.05)
        process.send_signal(asking)
        os.close(terminal)
        window.close()
        if process.stderr is not None:
            assert process.stderr.readlines()[1:] == ["sixteenfold: interrupted\n"]
    assert process.returncode == 128 + asking
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", ".photo_x16.png.key", rows.name}
