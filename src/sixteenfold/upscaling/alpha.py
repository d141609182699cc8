"""Enlarge alpha: a mask, whose outline is to be as sharp as the colours' and without specks, holes or rings."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sixteenfold.imaging.resample import by_matrix
from sixteenfold.upscaling.flat import lowest_and_highest
from sixteenfold.upscaling.tiles import Span
from sixteenfold.upscaling.upscaler import Upscaler


def alpha_bands(alpha: Tensor, size: tuple[int, int], upscaler: Upscaler, skip: int) -> Iterator[Tensor]:
    """Enlarge alpha band by band, as `Upscaler.bands` does with colours.

    A network draws rings along hard edges. Linear interpolation has none, but is soft. The result is the network's,
    but no farther from the linear value than this is from the lowest or the highest alpha around, whichever is
    nearer: free on an edge, bound where all around is alike.

    Args:
        alpha: (1, 1, H, W) in [0, 1].
        size: (height, width) of the result, up to (16H, 16W).
        upscaler: Enlarges the colours; its `for_masks` enlarges alpha, unless that is one value everywhere.
        skip: How many bands at the top to skip; those that follow are the same as without it.

    Yields:
        (1, 1, rows, width) in [0, 1] on the CPU, top to bottom.
    """
    height, width = size
    rows_of_bands = upscaler.band_rows(alpha.shape[2], height)[skip:]
    if float(alpha.min()) == float(alpha.max()):
        yield from (alpha[:, :, :1, :1].expand(-1, -1, rows, width) for rows in rows_of_bands)
        return
    small = torch.cat((alpha, *lowest_and_highest(alpha)), dim=1)
    top = height - sum(rows_of_bands)
    for band in upscaler.for_masks.bands(alpha, size=size, skip=skip):
        rows, top = Span(top, top + band.shape[2]), top + band.shape[2]
        linear, lowest, highest = _interpolated(small, rows, size).chunk(3, dim=1)
        freedom = torch.minimum(linear - lowest, highest - linear).clamp_min(0)  # rounding may make it less
        yield band.cpu().clamp(linear - freedom, linear + freedom).clamp_(0, 1)


def _interpolated(image: Tensor, rows: Span, size: tuple[int, int]) -> Tensor:
    """Some rows of a picture (1, C, H, W) that is resized linearly (antialiased, should it shrink)."""
    height = image.shape[2]
    step = height / size[0]
    centres = (torch.arange(rows.start, rows.stop, dtype=torch.float64, device="cpu")[:, None] + 0.5) * step - 0.5
    away = (centres - torch.arange(height, device="cpu")).abs()
    weights = (1 - away / max(1, step)).clamp_min(0)
    seen = by_matrix(image, -2, (weights / weights.sum(dim=1, keepdim=True)).to(image.dtype))
    return F.interpolate(seen, (rows.length, size[1]), mode="bilinear", antialias=True)
