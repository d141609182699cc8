"""LR-PSNR on a picture whose downscale is known."""

import math

import pytest
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import downscale
from sixteenfold.metrics.consistency import lr_psnr


def test_its_own_downscale_is_perfect_and_a_shift_is_not() -> None:
    sr = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1))
    lr = downscale(sr)
    assert lr_psnr(sr, lr).tolist() == [math.inf, math.inf]
    # A kernel that sums to one passes a constant on: 0.1 of shift is 20 dB.
    assert lr_psnr(sr + 0.1, lr).tolist() == pytest.approx([20, 20], abs=1e-3)


def test_refuses_sizes_that_do_not_belong_together() -> None:
    sr = torch.zeros(1, 3, 48, 33)
    for shape in ((1, 3, 3, 2), (1, 1, 3, 3), (2, 3, 3, 3)):
        with pytest.raises(SixteenfoldError, match=r"^LR-PSNR: \(.*\) is not \(1, 3, 48, 33\) made 16 times smaller$"):
            lr_psnr(sr, torch.zeros(shape))
