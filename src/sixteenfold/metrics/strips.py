"""Large pictures from top to bottom, a bounded number of pixels at a time."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sixteenfold.imaging.color import unit_range
from sixteenfold.metrics.checks import check_scale

PIXELS_AT_ONCE = 48 * 1024
"""Pixels of one picture that a strip holds. With more, the first stage's maps of two pictures pass the size up to which
an allocator uses memory again; new memory for every layer then takes a third of the time."""


def strips(batches: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, bool]]:
    """Rows of several (N, C, H, W) batches of one size, put together into one batch, in order.

    Yields (rows as `dtype` in [0, 1], whether they are the last). uint8 batches are scaled here, and those of other
    types converted, so that a large picture never has to exist as floats, nor twice.

    Raises SixteenfoldError when floats are of another scale, which would only give another distance, or not finite.
    """
    for batch in batches:
        check_scale(batch)
    height, width = batches[0].shape[2:]
    # Whole multiples of every stride.
    rows = max(16, PIXELS_AT_ONCE // width // 16 * 16)
    for top in range(0, height, rows):
        parts = [as_type(batch[:, :, top : top + rows], dtype) for batch in batches]
        yield torch.cat(parts), top + rows >= height


def as_type(picture: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W), uint8 or float -> `dtype` in [0, 1], with its gradient."""
    return unit_range(picture).to(dtype)


def rgb(*values: float) -> Tensor:
    """A number a channel -> (1, 3, 1, 1) float32 on the CPU, whatever PyTorch's defaults."""
    return torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1)


def as_result(distance: Tensor, sr: Tensor) -> Tensor:
    """A metric's distance on the picture's device, in its type; float32 for integer pictures."""
    return distance.to(sr.device, sr.dtype if sr.dtype.is_floating_point else torch.float32)


class Total:
    """A sum of parts that come one by one, each small enough to be summed in float32 on its device.

    Parts stay there: moving each would make the host wait for an accelerator, and an Apple GPU has no float64.
    """

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, part: Tensor) -> None:
        """Take a part in: float32, all of one shape."""
        self._parts.append(part)

    def result(self) -> Tensor:
        """The sum of the parts, at least one, in float64 on the CPU."""
        return torch.stack(self._parts).cpu().double().sum(dim=0)
