"""PSNR and SSIM.

Both are computed in strips of rows, in double precision, so that they equal scikit-image and their
memory stays bounded; on the CPU, as not every GPU has that precision. uint8 tensors in 0..255 are
taken as well.
"""

import math
from functools import partial

import torch
from torch import Tensor

from sixteenfold.imaging.color import luma, unit_range
from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import ANY, RGB, check_pictures, check_scale

STRIP = 64
"""Rows worked on at once."""
SSIM_RADIUS = 5
SSIM_SIGMA = 1.5


@untraced
def psnr(sr: Tensor, hr: Tensor, *, on_luma: bool = False) -> Tensor:
    """Peak signal-to-noise ratio: (N, C, H, W) twice, uint8 or float in [0, 1] -> (N,) decibels, float64, on the CPU.

    The mean of squared differences is over all channels together, or of `imaging.color.luma` of RGB;
    equal pictures give infinity. Raises SixteenfoldError when the shapes differ or are no such batches, luma is asked
    of other than RGB, the pictures are empty or the numbers are of another scale or not finite.
    """
    _check("PSNR", sr, hr, on_luma)
    total = torch.zeros(sr.shape[0], dtype=torch.float64, device="cpu")
    for top in range(0, sr.shape[2], STRIP):
        part = slice(top, top + STRIP)
        difference = _strip(sr[:, :, part], on_luma) - _strip(hr[:, :, part], on_luma)
        total += difference.square().sum(dim=(1, 2, 3))
    return -10 * torch.log10(total * (sr.shape[1] if on_luma else 1) / sr[0].numel())


@untraced
def ssim(sr: Tensor, hr: Tensor, *, on_luma: bool = False) -> Tensor:
    """Structural similarity: (N, C, H, W) twice, uint8 or float in [0, 1] -> (N,) in [-1, 1], float64, on the CPU.

    The original variant (Wang et al., IEEE TIP 2004): Gaussian window of 11x11 with sigma 1.5,
    population covariance, K1 = 0.01, K2 = 0.03, mean over the places where the window fits, then
    over channels, or of `imaging.color.luma` of RGB. Raises SixteenfoldError as `psnr` does, and when a side is
    below 11.
    """
    _check("SSIM", sr, hr, on_luma, least=2 * SSIM_RADIUS + 1)
    rows = sr.shape[2] - 2 * SSIM_RADIUS
    total = torch.zeros(sr.shape[0], dtype=torch.float64, device="cpu")
    for top in range(0, rows, STRIP):
        part = slice(top, top + STRIP + 2 * SSIM_RADIUS)
        total += _ssim_map(_strip(sr[:, :, part], on_luma), _strip(hr[:, :, part], on_luma)).sum(dim=(1, 2, 3))
    channels = 1 if on_luma else sr.shape[1]
    return total / (channels * rows * (sr.shape[3] - 2 * SSIM_RADIUS))


def _check(metric: str, sr: Tensor, hr: Tensor, on_luma: bool, least: int = 1) -> None:
    check_pictures(metric, sr, hr, shape=RGB if on_luma else ANY, least=least)
    for picture in (sr, hr):
        check_scale(picture)


def _strip(rows: Tensor, on_luma: bool) -> Tensor:
    """Rows of a picture in double precision, on the CPU."""
    rows = rows.cpu()
    return luma(unit_range(rows)).double() if on_luma else unit_range(rows, torch.float64)


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Equation 13 of the paper at every place where the window fits."""
    blur = partial(gaussian_mean, sigma=SSIM_SIGMA, radius=SSIM_RADIUS)
    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = blur(x), blur(y)
    products, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance = blur(x * y) - products
    variances = blur(x.square() + y.square()) - squares
    return (2 * products + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def gaussian_mean(image: Tensor, sigma: float, radius: int) -> Tensor:
    """Mean of the pixels around, where all of them are: (..., H, W) -> (..., H - 2 radius, W - 2 radius)."""
    window = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(-radius, radius + 1)]
    for dim in (-2, -1):
        length = image.shape[dim] - 2 * radius
        total = torch.zeros_like(image.narrow(dim, 0, length))
        for first, weight in enumerate(window):
            total.add_(image.narrow(dim, first, length), alpha=weight / sum(window))
        image = total
    return image
