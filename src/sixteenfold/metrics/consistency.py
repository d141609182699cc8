"""LR-PSNR: how well a result downscales to the picture that it was made from."""

import math

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import SCALE, downscale
from sixteenfold.metrics.checks import check_pictures, check_scale
from sixteenfold.metrics.fidelity import psnr
from sixteenfold.metrics.strips import unit_range

STRIP = 16
"""Rows of the result that are made at once."""


def lr_psnr(sr: Tensor, lr: Tensor, factor: int = SCALE) -> Tensor:
    """PSNR between the result shrunk by the MATLAB bicubic kernel and its input, unrounded.

    Shapes: (N, C, H, W) and (N, C, ceil(H/factor), ceil(W/factor)) in [0, 1] -> (N,) decibels,
    float64, on the CPU; uint8 in 0..255 is taken as well. The original has about 59 dB, as its input was
    rounded to 8 bits.
    Source: Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution Space Challenge", section 2.
    Raises SixteenfoldError when the shapes are no such batches or do not belong together, the pictures are empty or the
    numbers are of another scale or not finite.
    """
    for picture in (sr, lr):
        check_pictures("LR-PSNR", picture)
        check_scale(picture)
    if lr.shape != (*sr.shape[:2], *(math.ceil(side / factor) for side in sr.shape[2:])):
        raise SixteenfoldError(f"LR-PSNR: {tuple(lr.shape)} is not {tuple(sr.shape)} made {factor} times smaller")
    return psnr(shrink(sr, factor), unit_range(lr))


def shrink(picture: Tensor, factor: int = SCALE) -> Tensor:
    """`imaging.resample.downscale` in strips of rows, so that a large uint8 picture never exists as floats.

    (N, C, H, W) uint8 in 0..255 or float in [0, 1] -> (N, C, ceil(H/factor), ceil(W/factor)) float, neither
    clamped nor rounded.
    """
    height = math.ceil(picture.shape[2] / factor)
    parts: list[Tensor] = []
    for top in range(0, height, STRIP):
        # The kernel reaches two rows of the result to each side; what a strip's own border changes is cut off.
        first = max(0, top - 3)
        rows = unit_range(picture[:, :, factor * first : factor * (top + STRIP + 3)])
        parts.append(downscale(rows, factor)[:, :, top - first : top - first + STRIP])
    return torch.cat(parts, dim=2)
