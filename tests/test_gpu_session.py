"""What travels in pieces arrives whole, or is refused."""

import importlib.util
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

SCRIPT = Path(__file__).parent.parent / "tools" / "gpu_session" / "pieces.py"


def join(folder: Path, target: Path) -> dict[str, torch.Tensor]:
    subprocess.run([sys.executable, str(SCRIPT), "join", str(folder), str(target)], check=True)
    return load_file(target)


def watch(run: Path, seconds: int, out: Path, *what: str, **others: Any) -> "subprocess.Popen[str]":
    words = [str(SCRIPT.with_name("watch.sh")), str(run), str(seconds), str(out), *what]
    return subprocess.Popen(words, env=os.environ | {"PYTHON": sys.executable}, text=True, **others)


def test_better_weights_are_brought_while_the_training_goes_on(tmp_path: Path) -> None:
    """A call that is ended before its time has them too; those that were better later take their place."""
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    (tmp_path / "run.log").write_text("step 5: validation\n")
    (tmp_path / "run.pid").write_text(str(os.getpid()))
    for value in (1.0, 2.0):
        save_file({"a": torch.full((3,), value)}, run / "model.safetensors")
        before = set(out.glob("model*"))
        watching = watch(run, 100, out)
        try:
            limit = time.monotonic() + 60
            while not set(out.glob("model*")) - before:
                assert time.monotonic() < limit
                time.sleep(0.1)
        finally:
            watching.kill()
            watching.wait()
        assert join(out, tmp_path / "model.safetensors")["a"].tolist() == [value] * 3


def test_the_end_of_a_training_is_seen(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run.log").write_text("Traceback (most recent call last):\nValueError: of no use\n")
    (tmp_path / "run.pid").write_text(str(os.getpid()))
    watching = watch(tmp_path / "run", 100, tmp_path / "out", stdout=subprocess.PIPE)
    said, _ = watching.communicate(timeout=60)
    assert "ValueError: of no use" in said and watching.returncode == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_pieces_make_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pieces", SCRIPT)
    assert spec is not None and spec.loader is not None
    pieces = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pieces)
    monkeypatch.setattr(pieces, "SIZE", 100)
    weights = {"a": torch.linspace(-1, 1, 500), "b": torch.ones(3)}
    save_file(weights, tmp_path / "model.safetensors")
    pieces.main(["cut", str(tmp_path / "model.safetensors"), str(tmp_path / "out"), "--half"])
    made = list((tmp_path / "out").iterdir())
    assert len(made) > 10 and max(path.stat().st_size for path in made) == 100
    pieces.main(["join", str(tmp_path / "out"), str(tmp_path / "model.safetensors")])
    assert all(torch.equal(load_file(tmp_path / "model.safetensors")[name], weights[name].half()) for name in weights)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs pieces.py; gives what it says as it refuses, empty where it does not."""

    def run(*words: Path | str) -> str:
        monkeypatch.setattr("sys.argv", ["pieces.py", *map(str, words)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            return str(end.code)
        return ""

    return run


def test_pieces_that_are_not_whole_are_named(pieces: Callable[..., str], tmp_path: Path) -> None:
    save_file({"a": torch.zeros(30 * 2**18)}, tmp_path / "model.safetensors")
    assert pieces("cut", tmp_path / "model.safetensors", tmp_path / "out") == ""
    cut = sorted((tmp_path / "out").iterdir())
    assert len(cut) == 3
    words = ("join", tmp_path / "out", tmp_path / "model.safetensors")
    name = cut[0].stem
    (tmp_path / "out" / "model.safetensors-notes.txt").touch()  # not one of them
    middle, last = cut[1].read_bytes(), cut[2].read_bytes()
    cut[1].unlink()
    assert pieces(*words) == f"pieces: {tmp_path / 'out'}: {name} lacks .1; fetch them again"
    cut[1].write_bytes(middle)
    cut[2].unlink()
    assert f"{name} is not whole: pieces after .1 are missing" in pieces(*words)
    cut[2].write_bytes(last)
    assert pieces(*words) == ""
    stranger = cut[0].with_name("model.safetensors-0123456789abcdef.0")
    stranger.touch()
    said = pieces(*words)
    assert "holds pieces of several files" in said and name in said and stranger.stem in said
    assert "holds no piece of last.safetensors" in pieces("join", tmp_path / "out", "last.safetensors")
    assert "none" in pieces("join", tmp_path / "none", "last.safetensors")
    assert "none" in pieces("cut", tmp_path / "none", tmp_path / "out")
    assert pieces("cut", stranger, tmp_path / "out", "--half").startswith("pieces: ")


def refused(name: str, *words: Path | str) -> str:
    done = subprocess.run(
        ["sh", SCRIPT.with_name(name), *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    return done.stderr


def test_wrong_words_are_answered(tmp_path: Path) -> None:
    (tmp_path / "run.log").touch()
    run, out = tmp_path / "run", tmp_path / "out"
    assert "540s is not a whole number of seconds; watch.sh RUN" in refused("watch.sh", run, "540s", out)
    assert "weights is nothing to bring; watch.sh RUN" in refused("watch.sh", run, "5", out, "weights")
    assert f"there is no {tmp_path / 'other'}.log" in refused("watch.sh", tmp_path / "other", "5", out)
    assert "nothing to train; begin.sh RUN" in refused("begin.sh", tmp_path / "new")
    assert not out.exists() and not (tmp_path / "new.log").exists()
    run.mkdir()
    assert f"{run} exists" in refused("begin.sh", run, "smoke")
