"""Integer pixels <-> tensors, BT.601 luma, and colour under transparent pixels."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.samples import full_scale

_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
_LUMA_BLACK = 16 / 255
_PART_FLOATS = 2**20


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, C) uint8, uint16 or float32 in 0..1 -> (1, C, H, W) float32 in [0, 1]."""
    scale = full_scale(pixels.dtype)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes / np.float32(scale)).unsqueeze(0)


def unit_range(picture: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 or uint16 from 0 -> `dtype` in [0, 1]; floats keep their values and their type unless it is narrower."""
    if picture.dtype.is_floating_point:
        return picture.to(torch.promote_types(picture.dtype, dtype))
    return picture.to(dtype) / torch.iinfo(picture.dtype).max


def to_pixels(image: Tensor, dtype: np.dtype | type) -> np.ndarray:
    """(1, C, H, W) float, meant for [0, 1], on any device -> (H, W, C) of `dtype`.

    Clamped, and for integers rounded to the nearest with halves up, so that
    `to_pixels(to_tensor(p), p.dtype)` is `p` for every uint8 and uint16 value.
    Raises SixteenfoldError when the image holds NaN, ValueError for an unknown `dtype`.
    """
    scale = full_scale(dtype)
    planes = image.detach()[0].to("cpu", torch.float32).numpy()
    channels, height, width = planes.shape
    pixels = np.empty((height, width, channels), dtype)
    # Some rows at a time: the steps between would take three times the picture's memory.
    step = max(1, _PART_FLOATS // max(1, width * channels))
    for top in range(0, height, step):
        part = planes[:, top : top + step]
        if np.isnan(part).any():
            raise SixteenfoldError("the network's result contains NaN; try precision fp32 or another model")
        part = part.transpose(1, 2, 0).clip(0, 1)
        pixels[top : top + step] = part if scale == 1 else np.floor(part * np.float32(scale) + np.float32(0.5))
    return pixels


def unread(values: Tensor) -> str | None:
    """What hinders reading the numbers of a tensor, with the way out, as `misfit`."""
    if values.is_meta:
        return "on the device meta, which holds no numbers; give a tensor that has some"
    if values.is_nested or values.layout != torch.strided:
        return "sparse or nested; make the tensor dense"
    if values.is_floating_point() and values.element_size() == 1:
        return f"{values.dtype}; convert it with float()"
    return None


def misfit(values: Tensor) -> str | None:
    """What pixels are instead of floats in [0, 1], with the way out, as the end of a message; None if they are.

    Slightly outside, as an enlargement may be, is accepted; -1 and 255 are not.
    """
    if found := unread(values):
        return found
    if not values.is_floating_point():
        return f"{values.dtype}; divide integers by their largest value"
    least, greatest = (float(end) for end in values.detach().aminmax())
    if not (math.isfinite(least) and math.isfinite(greatest)):
        return "infinities or NaN; mend what made them"
    if greatest > 2:
        return f"up to {greatest:g}; divide by the largest value"
    return f"from {least:g}; convert -1 to 1 by (x + 1) / 2" if least < -0.5 else None


def to_8_bit_rgb(pixels: np.ndarray) -> Tensor:
    """(H, W, C) uint8, uint16 or float32 in 0..1 -> (3, H, W) uint8, grey as three equal channels.

    Deeper values are rounded to the nearest, halves up; 8-bit ones take no other memory than the result's.
    """
    if pixels.dtype != np.uint8:
        pixels = to_pixels(to_tensor(pixels), np.uint8)
    return torch.from_numpy(pixels).permute(2, 0, 1).expand(3, -1, -1).contiguous()


def luma(image: Tensor) -> Tensor:
    """BT.601 luma as MATLAB's rgb2ycbcr: (N, 3, H, W) in [0, 1] -> (N, 1, H, W) in [16, 235]/255.

    Source: ITU-R BT.601-7, section 2.5, quantised range.
    """
    weights = torch.tensor(_LUMA, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True) + _LUMA_BLACK


def fill_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`pixels` with new colour where `alpha` is 0, taken from the visible pixels around.

    What lies under full transparency is arbitrary, often black, and a network or filter drags it
    over the edge as a halo. It is replaced by the mean of nearby pixels weighted by their alpha,
    from ever coarser pictures the farther the nearest visible pixel is. Visible pixels keep their
    values; so does everything when nothing or all is visible.

    pixels: (H, W, C) uint8, uint16 or float32; alpha: (H, W), same type. Returns (H, W, C).
    Source: the pull-push scheme of Gortler et al., The Lumigraph (1996), section 3.5.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    filled = to_pixels(_pull_push(to_tensor(pixels), to_tensor(alpha[..., None])), pixels.dtype)
    return np.where(hidden[..., None], filled, pixels)


def _pull_push(color: Tensor, weight: Tensor) -> Tensor:
    """`color` (1, C, H, W) where `weight` (1, 1, H, W) is above 0, spread over the rest."""
    height, width = color.shape[-2:]
    if height == width == 1:
        return color
    # Partial windows at the lower and right border average what they hold.
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(color * weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = torch.where(coarse_weight > 0, coarse / coarse_weight.clamp_min(1e-12), coarse)
    spread = F.interpolate(_pull_push(coarse, coarse_weight), (height, width), mode="bilinear", align_corners=False)
    return torch.where(weight > 0, color, spread)
