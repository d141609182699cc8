"""LR-PSNR: how well a result downscales to the picture that it was made from."""

import math

from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import unit_range
from sixteenfold.imaging.resample import SCALE, downscale_in_strips
from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import check_pictures, check_scale
from sixteenfold.metrics.fidelity import psnr


@untraced
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
    return psnr(downscale_in_strips(sr, factor), unit_range(lr))
