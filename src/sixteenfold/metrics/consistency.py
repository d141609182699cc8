"""LR-PSNR: how well a result downscales to the picture that it was made from."""

import math

from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import downscale
from sixteenfold.metrics.fidelity import psnr
from sixteenfold.metrics.strips import unit_range


def lr_psnr(sr: Tensor, lr: Tensor, factor: int = 16) -> Tensor:
    """PSNR between the result shrunk by the MATLAB bicubic kernel and its input, unrounded.

    Shapes: (N, 3, H, W) and (N, 3, ceil(H/factor), ceil(W/factor)) in [0, 1] -> (N,) decibels,
    float64; uint8 in 0..255 is taken as well. An exact answer ends near 59 dB, where the input's
    own rounding to 8 bits lies.
    Source: Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution Space Challenge", section 2.
    Raises SixteenfoldError when the sizes do not belong together.
    """
    if tuple(lr.shape[2:]) != tuple(math.ceil(side / factor) for side in sr.shape[2:]):
        raise SixteenfoldError(
            f"LR-PSNR: {sr.shape[3]}x{sr.shape[2]} is not {factor} times the input's {lr.shape[3]}x{lr.shape[2]}"
        )
    return psnr(downscale(unit_range(sr), factor), unit_range(lr))
