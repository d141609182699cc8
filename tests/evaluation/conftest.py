"""Small pictures in folders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray

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
