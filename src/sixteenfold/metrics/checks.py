"""What every metric asks of the pictures that it is given."""

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import misfit, unread

Shape = tuple[int | str, ...]
"""A side's length, or a letter where any will do."""
ANY: Shape = ("N", "C", "H", "W")
RGB: Shape = ("N", 3, "H", "W")


def check_pictures(metric: str, *pictures: Tensor, shape: Shape = ANY, least: int = 1) -> None:
    """Raise SixteenfoldError unless these are pictures of one shape, not empty, each in uint8 or floats.

    Args:
        metric: Its name, for the message.
        pictures: What a caller gave.
        shape: What they must be.
        least: The least height and width.
    """
    for picture in pictures:
        if not isinstance(picture, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SixteenfoldError(f"{metric}: pictures must be tensors, not {type(picture).__name__}")
        if found := unread(picture):
            raise SixteenfoldError(f"{metric}: pictures must be uint8, or floats in [0, 1], not {found}")
        if picture.dtype != torch.uint8 and not picture.is_floating_point():
            raise SixteenfoldError(f"{metric}: pictures must be uint8, or floats in [0, 1], not {picture.dtype}")
    first, *others = (tuple(picture.shape) for picture in pictures)
    fits = len(first) == len(shape) and all(
        side == wanted for side, wanted in zip(first, shape, strict=True) if isinstance(wanted, int)
    )
    if not fits or 0 in first or any(other != first for other in others):
        wanted, given = ", ".join(map(str, shape)), " and ".join(map(str, (first, *others)))
        raise SixteenfoldError(f"{metric}: pictures must be ({wanted}), of one shape and not empty, not {given}")
    height, width = first[-2:]
    if min(height, width) < least:
        raise SixteenfoldError(
            f"{metric}: a picture of {width}x{height} is too small, at least {least}x{least} is needed"
        )


def check_scale(picture: Tensor) -> None:
    """Raise SixteenfoldError for a picture that is neither of uint8 nor of floats in about [0, 1]."""
    if picture.dtype != torch.uint8 and (found := misfit(picture)):
        raise SixteenfoldError(f"pictures must be uint8, or floats in [0, 1], not {found}")
