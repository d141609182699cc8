"""NIQE, which judges a picture's naturalness without an original.

Source: Mittal, Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE
Signal Processing Letters 20, 2013. The variant of the authors' MATLAB release as BasicSR reproduces
it (and the perceptual index of PIRM 2018 uses it): on BT.601 luma rounded to 8 bits, blocks of
96x96 without overlap, nothing shaved off. `niqe_pristine.npz` holds the release's own model of
pristine pictures (36 means, 36x36 covariance), as BasicSR 1.4.2 (Apache-2.0) carries it.
"""

import math
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import luma, unit_range
from sixteenfold.imaging.resample import resize
from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import check_pictures, check_scale
from sixteenfold.metrics.fidelity import gaussian_mean

BLOCK = 96
RADIUS = 3
SIGMA = 7 / 6
# Neighbours whose products are modelled: right, below, and the two diagonals.
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


@untraced
@torch.no_grad()
def niqe(picture: Tensor) -> float:
    """(1, 3, H, W) in [0, 1], or uint8 in 0..255 -> distance from natural statistics; lower is better.

    Raises SixteenfoldError when the shape is another, fewer than two blocks of 96x96 fit, the picture is all flat, or
    its numbers are of another scale or not finite.
    """
    check_pictures("NIQE", picture, shape=(1, 3, "H", "W"))
    check_scale(picture)
    height, width = (side // BLOCK * BLOCK for side in picture.shape[2:])
    if height * width < 2 * BLOCK * BLOCK:
        size = f"{picture.shape[3]}x{picture.shape[2]}"
        raise SixteenfoldError(f"NIQE: a picture of {size} is too small, at least {2 * BLOCK}x{BLOCK} is needed")
    # Block by block, for a large uint8 picture should not have to exist as floats.
    rows = torch.split(picture[:, :, :height, :width], BLOCK, dim=2)
    grey = torch.cat([(luma(unit_range(part.cpu())) * 255).round().double() for part in rows], dim=2)[0, 0]
    half = resize(grey[None, None], (height // 2, width // 2), scale=0.5)[0, 0]
    features = torch.cat((_features(grey, BLOCK), _features(half, BLOCK // 2)), dim=1)
    usable = features[~features.isnan().any(dim=1)]
    if len(usable) < 2:
        raise SixteenfoldError("NIQE: the picture is flat nearly everywhere and so has no statistics")
    pristine_mean, pristine_covariance = _pristine()
    away = (pristine_mean - features.nanmean(dim=0)).numpy()
    inverse = np.linalg.pinv(((pristine_covariance + usable.T.cov()) / 2).numpy())
    return math.sqrt(away @ inverse @ away)


def _features(grey: Tensor, block: int) -> Tensor:
    """(H, W) in 0..255 -> (blocks, 18), one row of blocks at a time."""
    height, width = grey.shape
    rows: list[Tensor] = []
    for top in range(0, height, block):
        # Beyond the border the outermost pixels are repeated.
        place = torch.arange(top - RADIUS, top + block + RADIUS, device="cpu").clamp(0, height - 1)
        normalised = _normalise(grey.index_select(0, place))
        blocks = normalised.view(block, width // block, block).transpose(0, 1)
        rows.append(_block_features(blocks))
    return torch.cat(rows)


def _normalise(strip: Tensor) -> Tensor:
    """Equation 1: less the local mean, over the local deviation plus one; the margin rows go."""
    mean = _blur(strip)
    deviation = (_blur(strip.square()) - mean.square()).abs().sqrt()
    return (strip[RADIUS:-RADIUS] - mean) / (deviation + 1)


def _blur(strip: Tensor) -> Tensor:
    place = torch.arange(-RADIUS, strip.shape[1] + RADIUS, device="cpu").clamp(0, strip.shape[1] - 1)
    return gaussian_mean(strip.index_select(1, place), SIGMA, RADIUS)


def _block_features(blocks: Tensor) -> Tensor:
    """Equations 2 to 9: (B, h, w) -> (B, 18)."""
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right = _fit(blocks * blocks.roll(shift, dims=(1, 2)))
        mean = (right - left) * torch.exp(torch.lgamma(2 / shape) - torch.lgamma(1 / shape))
        features += [shape, mean, left, right]
    return torch.stack(features, dim=1)


def _fit(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An asymmetric generalised Gaussian by moments: (B, h, w) -> shape, left and right scale, (B,)."""
    samples = samples.flatten(1)
    squares = samples.square()
    below, above = samples < 0, samples > 0
    left = ((squares * below).sum(dim=1) / below.sum(dim=1)).sqrt()
    right = ((squares * above).sum(dim=1) / above.sum(dim=1)).sqrt()
    ratio = left / right
    moment = samples.abs().mean(dim=1).square() / squares.mean(dim=1)
    moment = moment * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1).square()
    shapes, moments = _shapes()
    shape = shapes[(moments - moment[:, None]).square().argmin(dim=1)]
    spread = torch.exp((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2)
    return shape, left * spread, right * spread


@cache
def _shapes() -> tuple[Tensor, Tensor]:
    """The shapes that are tried, and the moment ratio of each."""
    shapes = torch.arange(200, 10001, dtype=torch.float64, device="cpu") / 1000
    logarithm = 2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)
    return shapes, torch.exp(logarithm)


@cache
def _pristine() -> tuple[Tensor, Tensor]:
    with (files("sixteenfold.metrics") / "niqe_pristine.npz").open("rb") as file, np.load(file) as model:
        return torch.from_numpy(model["mean"]), torch.from_numpy(model["covariance"])
