"""Keeps exactly flat ground flat: nothing is drawn where the small picture has one colour all around.

In icons, drawn text and line art the ground has one value to the last bit, which a photograph's seldom has outside
what is over- or underexposed, or within the blocks of a strong JPEG. There the network's answer to an edge two or
three small pixels away is a ghost line or a speck, and what is known to be right is the colour itself.
"""

from torch import Tensor
from torch.nn import functional

from sixteenfold.imaging.resample import SCALE
from sixteenfold.upscaling.tiles import Span

FLAT_REACH = 2
"""How many small pixels around an enlarged one decide about it: one for the weight's slope, one for its neighbours."""


def keep_flat(sr: Tensor, lr: Tensor, rows: Span) -> Tensor:
    """Mix a picture's own colour into some rows of its enlargement, where nine of its pixels are alike.

    The weight is 1 at the centre of a pixel that equals its eight neighbours in every channel and falls linearly to 0
    at the centre of the next that does not. A pixel at the picture's edge has fewer neighbours.

    Args:
        sr: (N, C, 16 rows, 16W), the enlargement of `rows`.
        lr: (N, C, H, W), the whole picture that it was made from.
        rows: Which rows of lr.

    Returns:
        sr, changed in place.
    """
    seen = rows.grown(FLAT_REACH, lr.shape[2])
    lowest, highest = lowest_and_highest(lr[:, :, seen.slice])
    flat = (lowest == highest).all(dim=1, keepdim=True)
    if not flat.any():
        return sr
    slopes = functional.interpolate(flat.to(sr.dtype), scale_factor=SCALE, mode="bilinear")
    weight = slopes[:, :, rows.within(seen).times(SCALE).slice]
    # Wherever the weight is not 0, the pixels around are those of one flat pixel: the nearest has the colour of all.
    colour = functional.interpolate(lr[:, :, rows.slice], scale_factor=SCALE, mode="nearest")
    return sr.lerp_(colour, weight)


def lowest_and_highest(lr: Tensor) -> tuple[Tensor, Tensor]:
    """Of each pixel and its eight neighbours, as many as there are, by channel: (N, C, H, W) -> twice the same."""
    return -functional.max_pool2d(-lr, 3, 1, 1), functional.max_pool2d(lr, 3, 1, 1)
