"""kill -9 at any moment: the run goes on, and ends where it would have ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sixteenfold.training import checkpoint
from sixteenfold.training.config import AdversarialPhase, GeneratorShape, PixelPhase, TrainConfig, to_json
from sixteenfold.training.loop import train

from .conftest import BOTH, CONSOLE, rows, same, weights

CONFIG = TrainConfig(
    generator=GeneratorShape(features=(8, 4, 4), growth=(4, 4), blocks=(1, 1)),
    pixel=PixelPhase(steps=4, batch=2, patch=32, learning_rate=1e-3, ema_decay=0.9),
    adversarial=AdversarialPhase(
        steps=4, batch=2, patch=64, lpips=0.0, learning_rate=1e-3, ema_decay=0.9, discriminator=(4,) * 6
    ),
    save_every=2,
    log_every=1,
)
# Before a file's content is made safe on the disk, and at the end of each step's computation, the process says
# where it is and waits to be told whether to live: so it can be killed there.
PROGRAM = """
import os, sys
from pathlib import Path
from sixteenfold.training import config, course, loop

def ask(word):
    print(word, flush=True)
    sys.stdin.readline()

def stopping(word, function):
    def run(*words):
        ask(word)
        return function(*words)
    return run

os.fsync = stopping("save", os.fsync)
course._read_if_due = stopping("step", course._read_if_due)
folder, base, *resume = map(Path, sys.argv[1:])
out = base / "run"
loop.train(config.from_json(base / "config.json"), hr=[folder], out=out, resume=bool(resume), device="cpu")
print("done", flush=True)
"""


# In its fourth step it is told to stop, and in the validation that is due then it is killed.
STOPPED = """
import itertools, os, signal, sys
from pathlib import Path
from sixteenfold.training import config, course, loop

def told(*words, count=itertools.count(1), step=course.pixel_step):
    if next(count) == 4:
        signal.raise_signal(signal.SIGTERM)
    return step(*words)

course.pixel_step = told
loop.validate = lambda *words: os.kill(os.getpid(), signal.SIGKILL)
folder, base = map(Path, sys.argv[1:])
loop.train(config.from_json(base / "config.json"), hr=folder, val=folder, out=base / "run", device="cpu")
"""


def live(photographs: Path, base: Path, until: int, *more: str) -> list[str]:
    """Start the run, let it pass so many places, and kill it there; give the places it came to."""
    words = [sys.executable, "-c", PROGRAM, str(photographs), str(base), *more]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        seen: list[str] = []
        while len(seen) <= until and (line := process.stdout.readline()):
            seen.append(line.strip())
            if len(seen) <= until and seen[-1] != "done":
                process.stdin.write("\n")
                process.stdin.flush()
        os.kill(process.pid, signal.SIGKILL)
    return seen


def test_killed_in_steps_and_in_saves(photographs: Path, tmp_path: Path) -> None:
    """Killed six times, each time resumed, and at last left alone; beside it a run that is never stopped."""
    (tmp_path / "config.json").write_text(to_json(CONFIG))
    ends = [
        live(photographs, tmp_path, 2),  # in the save before the first step
        live(photographs, tmp_path, 6, "--resume"),  # in the save after the second
        live(photographs, tmp_path, 1, "--resume"),  # while metrics.jsonl is cut off after the second, as each time now
        live(photographs, tmp_path, 7, "--resume"),  # while the pixel phase's result is written
        live(photographs, tmp_path, 7, "--resume"),  # in the first step of the adversarial phase
        live(photographs, tmp_path, 5, "--resume"),  # in the save after its second step
        live(photographs, tmp_path, 1000, "--resume"),
    ]
    assert [places[-1] for places in ends] == ["save", "save", "save", "save", "step", "save", "done"]
    assert not list((tmp_path / "run").rglob("*.part"))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))
    whole = tmp_path / "whole"
    train(CONFIG, hr=[photographs], out=whole, device="cpu")
    for name in ("model", "pixel", "discriminator"):
        one, other = (load_file(run / f"{name}.safetensors") for run in (whole, tmp_path / "run"))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name


def test_killed_in_the_validation_after_a_stop(photographs: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(to_json(BOTH))
    words = [sys.executable, "-c", STOPPED, str(photographs), str(tmp_path)]
    killed = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL and "stopping soon" in killed.stderr
    run = tmp_path / "run"
    train(BOTH, hr=photographs, val=photographs, out=run, resume=True, device="cpu")
    assert same(weights(run), weights(whole))
    assert [row | {"time": None} for row in rows(run)] == [row | {"time": None} for row in rows(whole)]


def test_a_damaged_last_checkpoint_costs_its_steps_only(
    photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(CONFIG, hr=[photographs], out=run, device="cpu")
    model = load_file(run / "model.safetensors")
    newest = checkpoint.list_checkpoints(run / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[:1000])
    capfd.readouterr()
    train(CONFIG, hr=[photographs], out=run, resume=True, device="cpu", console=CONSOLE)
    said = capfd.readouterr().err
    assert f"{newest.name}: damaged, the one before it is used" in said and "steps 6 to 8" in said
    again = load_file(run / "model.safetensors")
    assert all(torch.equal(model[key], again[key]) for key in model)
