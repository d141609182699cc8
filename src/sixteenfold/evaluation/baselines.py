"""Classical enlargements to compare with."""

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import SCALE, by_matrix, dense, mirrored, resize

BASELINES = ("bicubic", "lanczos")


def interpolate(lr: Tensor, method: str, factor: int = SCALE) -> Tensor:
    """(N, C, H, W) -> (N, C, factor*H, factor*W), not clamped.

    "bicubic" is MATLAB's imresize; "lanczos" the windowed sinc of three lobes, its weights made to
    sum to one, over symmetric borders (Turkowski, "Filters for common resampling tasks", 1990).

    Raises SixteenfoldError for another method.
    """
    height, width = lr.shape[2:]
    if method == "bicubic":
        return resize(lr, (factor * height, factor * width))
    if method == "lanczos":
        rows, columns = _lanczos(height, factor).to(lr), _lanczos(width, factor).to(lr)
        return by_matrix(by_matrix(lr, -2, rows), -1, columns)
    raise SixteenfoldError(f"baseline {method!r}: unknown; choose among {', '.join(BASELINES)}")


def _lanczos(length: int, factor: int) -> Tensor:
    """(factor*length, length): each output pixel's weights on the input."""
    centre = (torch.arange(factor * length, dtype=torch.float64, device="cpu") + 0.5) / factor - 0.5
    place = centre.floor() + torch.arange(-2, 4, device="cpu")[:, None]
    distance = centre - place
    weight = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    return dense(weight / weight.sum(dim=0), mirrored(place.long(), length), length)
