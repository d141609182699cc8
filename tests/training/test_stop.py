"""A run that is asked to end, by Ctrl-C or by a terminal that is closed, saves before it does."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric import Fabric
from safetensors.torch import load_file

from sixteenfold.errors import Interrupted
from sixteenfold.training import checkpoint, course, loop
from sixteenfold.training.config import TrainConfig, to_json
from sixteenfold.training.steps import Losses, pixel_step

from .conftest import ADVERSARIAL, BOTH, CONFIG, PIXEL, rows, same, weights

CHECKPOINT_OF_A_STEP = "run/checkpoints/checkpoint-*[!0]-*.pt"
"""One whose step ends in another digit than 0, as that of the start does."""


def command(config: TrainConfig, photographs: Path, folder: Path) -> list[str]:
    """What starts such a run as a process of its own, in `folder` / "run"."""
    (folder / "config.json").write_text(to_json(config))
    words = [sys.executable, "-m", "sixteenfold", "train", "--config", str(folder / "config.json")]
    return [*words, "--hr", str(photographs), "--out", str(folder / "run"), "--device", "cpu"]


def test_an_interrupted_process_saves_and_says_how_to_go_on(photographs: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=100_000), validate_every=100_000)
    words = command(config, photographs, tmp_path)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            # Patient, since the machine may be busy with something else.
            deadline = time.monotonic() + 300
            while not list(tmp_path.glob(CHECKPOINT_OF_A_STEP)) and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "--resume goes on" in said
    state, damaged = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and damaged == []
    assert f"stopped after step {state['step']}" in said


def test_a_stop_is_saved_before_anything_may_end_the_run(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes in a step with a validation, which belongs to it; other processes end only when all have come there."""
    done: list[str] = []

    def noted(module: object, name: str) -> None:
        original = getattr(module, name)

        def call(*words: Any, **others: Any) -> Any:
            done.append(name)
            return original(*words, **others)

        monkeypatch.setattr(module, name, call)

    def stopping(*words: Any) -> Losses:
        losses = pixel_step(*words)
        signal.raise_signal(signal.SIGTERM)
        return losses

    monkeypatch.setattr(course, "pixel_step", stopping)
    for module, name in ((checkpoint, "save"), (loop, "validate"), (Fabric, "barrier")):
        noted(module, name)
    config = dataclasses.replace(CONFIG, validate_every=1)
    with pytest.raises(Interrupted, match="stopped after step 1"):
        loop.train(config, hr=photographs, val=photographs, out=tmp_path / "run", device="cpu")
    assert done[-3:] == ["validate", "save", "barrier"]


def stopped_in_step(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come in that step of the pixel phase."""
    done: list[int] = []

    def stopping(*words: Any) -> Losses:
        done.append(1)
        if len(done) == number:
            signal.raise_signal(signal.SIGINT)
        return pixel_step(*words)

    monkeypatch.setattr(course, "pixel_step", stopping)


def test_a_stop_in_the_last_step_of_all_ends_a_whole_run(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to go on with: no word of --resume, and the same files as without it."""
    config = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=2))
    with monkeypatch.context() as patch:
        stopped_in_step(2, patch)
        model = loop.train(config, hr=photographs, out=tmp_path / "run", device="cpu")
    assert capfd.readouterr().err == "stopping soon; a second Ctrl-C ends it at once, unsaved\n"
    loop.train(config, hr=photographs, out=tmp_path / "undisturbed", device="cpu")
    assert same(load_file(model), weights(tmp_path / "undisturbed"))
    assert [row["step"] for row in rows(tmp_path / "run")] == [2]
    state, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and state["step"] == 2


def test_a_stop_in_the_last_step_of_the_first_phase_is_heeded(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(PIXEL, steps=2)
    config = dataclasses.replace(BOTH, pixel=short, adversarial=dataclasses.replace(ADVERSARIAL, steps=1, warmup=0))
    with monkeypatch.context() as patch:
        stopped_in_step(2, patch)
        with pytest.raises(Interrupted, match="stopped after step 2; the same command with --resume goes on"):
            loop.train(config, hr=photographs, out=tmp_path / "run", device="cpu")
    first = weights(tmp_path / "run")
    loop.train(config, hr=photographs, out=tmp_path / "run", resume=True, device="cpu")
    assert same(first, load_file(tmp_path / "run" / "pixel.safetensors"))
    assert [(row["step"], row["group"]) for row in rows(tmp_path / "run")] == [(2, "pixel"), (3, "adversarial")]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_a_run_whose_terminal_is_closed_saves(photographs: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(
        CONFIG, pixel=dataclasses.replace(PIXEL, steps=100_000), validate_every=100_000, save_every=100_000
    )
    words = command(config, photographs, tmp_path)
    outside, terminal = os.openpty()
    os.set_blocking(outside, False)
    # Under nohup, as this suite may run, SIGHUP is ignored, and so it would be by what it starts.
    heeding = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        started = subprocess.Popen(words, stdout=terminal, stderr=terminal)
    finally:
        signal.signal(signal.SIGHUP, heeding)
    with os.fdopen(outside, "rb", buffering=0) as window, started as run:
        try:
            deadline = time.monotonic() + 300
            log = tmp_path / "run" / "metrics.jsonl"
            while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
                window.read(4096)  # whoever writes to a full terminal waits
                time.sleep(0.05)
            os.close(terminal)
            window.close()
            run.send_signal(signal.SIGHUP)
            assert run.wait(300) == 130
        finally:
            run.kill()
    state, damaged = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and damaged == []
    assert state["step"] > 0
