"""Small pictures and small runs."""

from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch

from sixteenfold.imaging.color import to_pixels
from sixteenfold.imaging.resample import resize


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three smooth pictures, so that there is something to learn."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(3):
        coarse = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(seed))
        pixels = to_pixels(resize(coarse, (140, 150)), np.uint8)
        pyvips.Image.new_from_array(pixels).write_to_file(str(folder / f"{seed}.png"))
    return folder
