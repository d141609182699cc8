"""The classical enlargements."""

import numpy as np
import pytest
import torch
from PIL import Image

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.baselines import interpolate
from sixteenfold.imaging.resample import resize


def test_lanczos_equals_pillow_away_from_borders() -> None:
    lr = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    expected = np.asarray(Image.fromarray(lr[0, 0].numpy()).resize((176, 144), Image.Resampling.LANCZOS))
    difference = np.abs(interpolate(lr, "lanczos")[0, 0].numpy() - expected)
    assert difference[48:-48, 48:-48].max() < 1e-5


def test_lanczos_keeps_a_constant() -> None:
    assert torch.allclose(interpolate(torch.full((1, 3, 2, 1), 0.3), "lanczos"), torch.tensor(0.3), atol=1e-6)


@pytest.mark.parametrize("method", ["bicubic", "lanczos"])
def test_autocast_changes_nothing(method: str) -> None:
    lr = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(1))
    expected = interpolate(lr, method)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(interpolate(lr, method), expected)


def test_bicubic_is_matlabs_and_others_are_refused() -> None:
    lr = torch.rand(1, 3, 4, 5)
    assert torch.equal(interpolate(lr, "bicubic"), resize(lr, (64, 80)))
    with pytest.raises(SixteenfoldError, match="bicubic, lanczos"):
        interpolate(lr, "bilinear")
