"""The program that compares losses: what it trains, and what it takes for trained."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from sixteenfold.training.config import TrainConfig, to_json

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, whose training only writes down what it was asked for, into `losses.trained`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    program: Any = importlib.import_module("losses")

    def train(config: TrainConfig, *, hr: Sequence[Path], out: Path, resume: bool, **_: object) -> Path:
        program.trained.append((config.steps, resume))
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(to_json(config))
        (out / "model.safetensors").write_text(f"after {config.steps}")
        return out / "model.safetensors"

    monkeypatch.setattr(program, "train", train)
    monkeypatch.setattr(program, "trained", [], raising=False)
    return program


def test_an_arm_that_is_done_is_not_taken_for_one_of_more_steps(tmp_path: Path, losses: Any) -> None:
    # One that was killed before its run began leaves a folder without a recipe.
    (tmp_path / "run").mkdir()
    for steps in (40, 40, 80):
        weights = losses.run("lpips-unet", steps, [], tmp_path)
        assert weights.read_text() == f"after {steps}"
    assert losses.trained == [(40, False), (80, True)]


def test_an_arm_that_is_done_is_not_taken_for_one_of_other_photographs(
    tmp_path: Path, losses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folders are called: what counts is what is in the photographs."""
    written: list[list[Path]] = []
    monkeypatch.setattr(losses, "write", lambda files, *_: written.append(files))

    def compare(hr: Path) -> None:
        words = ["--hr", hr, "--val", hr, "--steps", 40, "--arms", "lpips-unet", "--work", tmp_path / "work"]
        monkeypatch.setattr(sys, "argv", ["losses.py", *map(str, words)])
        losses.main()

    def photograph(path: Path, grey: int) -> None:
        path.parent.mkdir(exist_ok=True)
        pixels = np.full((losses.SMALLEST, losses.SMALLEST, 3), grey, np.uint8)
        pyvips.Image.new_from_array(pixels).write_to_file(str(path))

    for folder, grey in (("one", 5), ("same", 5), ("one", 6)):
        photograph(tmp_path / folder / "a.png", grey)
        compare(tmp_path / folder)
    assert losses.trained == [(40, False)] * 2
    assert written[0] == written[1] != written[2]
