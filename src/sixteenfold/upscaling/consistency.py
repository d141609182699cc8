"""Makes an enlargement downscale to its input: back-projection through the exact x1/16 kernel.

One round adds the bicubic enlargement of what is missing: sr + U(lr - D(sr)), with D the x1/16
reduction and U the x16 enlargement (M. Irani and S. Peleg, "Improving resolution by image
registration", CVGIP 53, 1991). Since D and U are linear, all rounds fold into one: the residual
r = lr - D(sr) becomes r - DU r with each round, so k rounds add U(r + (I - DU) r + ... ) to the
picture. DU is a filter of seven taps a direction on the small picture: however many the rounds,
the large picture is read once and written once.
"""

from functools import lru_cache

import torch
from torch import Tensor

from sixteenfold.imaging.resample import SCALE, downscale, extended, resize

ROUNDS = 4
"""Rounds of the default projection; docs/tiling.md has the figures that chose it."""
KERNEL_REACH = 2
"""How many small pixels D and U each look beyond the pixel that they make."""
FILTER_REACH = 3
"""How many small pixels one round's DU looks to each side."""


def project(sr: Tensor, lr: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Add to an enlargement what it lacks to downscale to its input. Differentiable in both.

    Args:
        sr: (N, C, 16H, 16W), the enlargement.
        lr: (N, C, H, W), what it was made from.
        rounds: Rounds of back-projection; more come closer. 0 changes nothing.

    Returns:
        (N, C, 16H, 16W), not clamped.

    Raises:
        ValueError: If the shapes do not belong together or rounds is negative.
    """
    height, width = lr.shape[-2:]
    if sr.shape != (*lr.shape[:2], SCALE * height, SCALE * width):
        raise ValueError(f"an enlargement of {tuple(lr.shape)} by {SCALE} cannot be {tuple(sr.shape)}")
    if rounds < 0:
        raise ValueError(f"rounds cannot be negative: {rounds}")
    if rounds == 0:
        return sr
    missing = correction(lr - downscale(sr, SCALE), rounds)
    return sr + resize(missing, (SCALE * height, SCALE * width))


def reach(rounds: int) -> int:
    """How many small pixels around a pixel's residual `correction` looks, in each direction."""
    return FILTER_REACH * max(0, rounds - 1)


def correction(residual: Tensor, rounds: int) -> Tensor:
    """The sum of the residuals of all rounds, from that of the first: (N, C, H, W) -> the same."""
    total = residual
    for _ in range(rounds - 1):
        residual = residual - _there_and_back(residual)
        total = total + residual
    return total


def _there_and_back(image: Tensor) -> Tensor:
    """Enlarge by 16 and reduce again, DU: a symmetric seven-tap filter over symmetric borders."""
    for dim in (-2, -1):
        length = image.shape[dim]
        padded = extended(image, dim, FILTER_REACH)
        image = sum((padded.narrow(dim, i, length) * tap for i, tap in enumerate(_taps())), torch.zeros_like(image))
    return image


@lru_cache(maxsize=1)
def _taps() -> tuple[float, ...]:
    """The seven taps of DU in one direction: its answer to a single bright pixel."""
    impulse = torch.zeros(1, 1, 1, 15, dtype=torch.float64, device="cpu")
    impulse[..., 7] = 1
    answer = downscale(resize(impulse, (SCALE, 15 * SCALE)), SCALE).flatten()
    return tuple(float(answer[7 + i]) for i in range(-FILTER_REACH, FILTER_REACH + 1))
