"""Small pictures in folders, and a small network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from numpy.typing import NDArray

from sixteenfold.networks.generator import Generator

Save = Callable[[str, NDArray[np.uint8]], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save("hr/a.png", pixels) writes below the test's own folder."""

    def write(name: str, pixels: NDArray[np.uint8]) -> Path:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        pyvips.Image.new_from_array(pixels).write_to_file(str(target))
        return target

    return write


def picture(seed: int, height: int = 64, width: int = 80) -> NDArray[np.uint8]:
    """Smooth colour with some grain."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x * random.uniform(-1, 1) + y * random.uniform(-1, 1)) / 9) for _ in range(3)]
    return (127 + 90 * np.stack(waves, axis=-1) + random.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


def pairs(save: Save, count: int = 3) -> None:
    """Originals in `hr`, darker results in `sr` and `other`."""
    for i in range(count):
        pixels = picture(i)
        save(f"hr/{i}.png", pixels)
        save(f"sr/{i}.png", (pixels * 0.9).astype(np.uint8))
        save(f"other/{i}.png", (pixels * 0.8).astype(np.uint8))


def tiny(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(features=4, growth=4, blocks=(1, 1))
