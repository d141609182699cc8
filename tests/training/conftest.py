"""Small pictures and small runs: how they are set up, cut and looked at."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import torch
from rich.console import Console
from safetensors.torch import load_file

from sixteenfold.imaging.color import to_pixels
from sixteenfold.imaging.resample import resize
from sixteenfold.training import course
from sixteenfold.training.config import AdversarialPhase, GeneratorShape, PixelPhase, TrainConfig
from sixteenfold.training.loop import train

PIXEL = PixelPhase(
    optimizer="muon",  # so that both are resumed, cut and shared among processes
    steps=8,
    batch=2,
    patch=32,
    loss="l1",
    learning_rate=1e-3,
    warmup=2,
    gradient_clip=1.0,
    ema_decay=0.9,
)
ADVERSARIAL = AdversarialPhase(
    steps=6,
    batch=2,
    patch=64,
    learning_rate=1e-3,
    discriminator_learning_rate=1e-3,
    discriminator=(4,) * 6,
    ema_decay=0.9,
    cutmix=1.0,
    cutmix_ramp=6,
)
CONFIG = TrainConfig(
    generator=GeneratorShape(features=(8, 4, 4), growth=(4, 4), blocks=(1, 1)),
    pixel=PIXEL,
    validate_every=4,
    validation_crop=64,
    save_every=3,
    log_every=5,
)
BOTH = dataclasses.replace(CONFIG, adversarial=ADVERSARIAL)
CONSOLE = Console(stderr=True)
"""As the command line has it."""


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three smooth pictures, so that there is something to learn."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(3):
        coarse = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(seed))
        pixels = to_pixels(resize(coarse, (140, 150)), np.uint8)
        pyvips.Image.new_from_array(pixels).write_to_file(str(folder / f"{seed}.png"))
    return folder


@pytest.fixture(scope="session")
def whole(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of both phases, never stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(BOTH, hr=[photographs], val=photographs, out=out, device="cpu")
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def rows(run: Path) -> list[dict[str, Any]]:
    """The lines of the run's log."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


class Killed(Exception):
    pass


def cut_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run die in the step after so many, at the end of its computation."""
    done = 0

    def dying(step: Callable[..., dict[str, torch.Tensor]]) -> Callable[..., dict[str, torch.Tensor]]:
        def run(*args: object) -> dict[str, torch.Tensor]:
            nonlocal done
            losses = step(*args)
            done += 1
            if done > count:
                raise Killed
            return losses

        return run

    monkeypatch.setattr(course, "pixel_step", dying(course.pixel_step))
    monkeypatch.setattr(course, "adversarial_step", dying(course.adversarial_step))
