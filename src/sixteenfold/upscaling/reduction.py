"""From x16 to any smaller size, by the exact antialiased bicubic, a few rows at a time."""

import math

import torch
from torch import Tensor

from sixteenfold.imaging.resample import cubic, resize
from sixteenfold.upscaling.tiles import Span


def reduced_bands(height: int, new_height: int, rows: int) -> tuple[Span, ...]:
    """The rows of the reduced picture in spans that each come from about `rows` rows of the large one."""
    step = max(1, rows * new_height // height)
    return tuple(Span(top, min(top + step, new_height)) for top in range(0, new_height, step))


def source_rows(wanted: Span, height: int, new_height: int) -> Span:
    """The rows of the large picture that some rows of the reduced one are made from."""
    half = 2 * height / new_height  # the kernel's half width, in rows of the large picture
    first, last = (_centre(row, height, new_height) for row in (wanted.start, wanted.stop - 1))
    return Span(max(0, math.floor(first - half)), min(height, math.ceil(last + half) + 1))


def reduce(rows: Tensor, seen: Span, wanted: Span, height: int, size: tuple[int, int]) -> Tensor:
    """Some rows of what `resize` makes of the whole large picture.

    Args:
        rows: (1, C, seen.length, W), rows of the large picture, at least `source_rows(wanted, ...)`.
        seen: Which rows these are.
        wanted: Rows of the reduced picture.
        height: Rows of the whole large picture.
        size: (height, width) of the whole reduced picture, no larger than the large one.

    Returns:
        (1, C, wanted.length, width of the reduced picture), not clamped.
    """
    narrow = resize(rows, (rows.shape[2], size[1]))
    return _weights(seen, wanted, height, size[0]).to(narrow) @ narrow


def _centre(row: int, height: int, new_height: int) -> float:
    """Where in the large picture a row of the reduced one has its middle, rows counted by their middles."""
    return (row + 0.5) * height / new_height - 0.5


def _weights(seen: Span, wanted: Span, height: int, new_height: int) -> Tensor:
    """What each row seen (columns) gives to each row wanted (rows), as `imaging.resample` has it."""
    shrink = new_height / height
    weights = torch.zeros(wanted.length, seen.length, dtype=torch.float64)
    taps = torch.arange(math.ceil(4 / shrink) + 2, dtype=torch.float64)
    for i in range(wanted.length):
        centre = _centre(wanted.start + i, height, new_height)
        source = math.floor(centre - 2 / shrink) + taps
        weight = cubic((centre - source) * shrink)
        source = source[weight != 0].long().remainder(2 * height)
        place = torch.minimum(source, 2 * height - 1 - source) - seen.start
        weights[i].index_add_(0, place, weight[weight != 0] / weight.sum())
    return weights
