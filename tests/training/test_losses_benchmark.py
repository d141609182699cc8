"""The program that compares losses: what it trains, and what it takes for trained."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sixteenfold.training.config import TrainConfig, to_json

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_an_arm_that_is_done_is_not_taken_for_one_of_more_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    losses: Any = importlib.import_module("losses")
    trained: list[tuple[int, bool]] = []

    def train(config: TrainConfig, *, hr: Sequence[Path], out: Path, resume: bool, **_: object) -> Path:
        trained.append((config.steps, resume))
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(to_json(config))
        (out / "model.safetensors").write_text(f"after {config.steps}")
        return out / "model.safetensors"

    monkeypatch.setattr(losses, "train", train)
    # One that was killed before its run began leaves a folder without a recipe.
    (tmp_path / "run").mkdir()
    for steps in (40, 40, 80):
        weights = losses.run("lpips-unet", steps, [], tmp_path)
        assert weights.read_text() == f"after {steps}"
    assert trained == [(40, False), (80, True)]
