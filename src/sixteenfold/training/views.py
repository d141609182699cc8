"""What LPIPS, VGG and DISTS are shown of a crop: in each step another place, size, direction and colouring of it.

A generator finds whatever pleases AlexNet on one grid, at one size or in one direction. What pleases it in all of them
is more likely to please the eye.
Source: Kettunen, Härkönen and Lehtinen, "E-LPIPS: Robust Perceptual Image Similarity via Random Transformation
Ensembles", 2019.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sixteenfold.training.phases import AdversarialPhase

LEAST_CONTRAST = 0.4
"""Of a view with other colours."""


class View(NamedTuple):
    """One look at a crop."""

    top: int = 0
    left: int = 0
    """Where its square begins."""
    side: int | None = None
    """Of the square, in pixels; None: all of the crop."""
    scale: float = 1.0
    """To which share of its side the square is reduced."""
    turn: int = 0
    """Quarter turns, 0 to 3; from 4 on the same, mirrored."""
    channels: tuple[int, ...] = (0, 1, 2)
    """Which of the picture's channels take the places of red, green and blue."""
    contrast: float = 1.0
    black: float = 0.0
    """Values v become black + contrast v."""


WHOLE = View()
"""The crop as it is."""


class Views(NamedTuple):
    """What each perceptual network is shown in one step."""

    lpips: Sequence[View] = (WHOLE,)
    """The mean of LPIPS over them counts."""
    vgg: View = WHOLE
    """DISTS, which looks through VGG too, sees the same."""


EVERYTHING = Views()
"""The whole crop, to all."""


def draw_views(random: torch.Generator, phase: AdversarialPhase) -> Views:
    """A step's views, as the phase asks for them."""
    lpips = [_for_lpips(random, phase) for _ in range(phase.lpips_views)]
    side = phase.vgg_patch or phase.patch
    top, left = (_below(phase.patch - side + 1, random) for _ in range(2))
    return Views(lpips, View(top, left, side))


def _below(number: int, random: torch.Generator) -> int:
    return int(torch.randint(number, (), generator=random))


def _for_lpips(random: torch.Generator, phase: AdversarialPhase) -> View:
    # Of one size whatever the place: a GPU chooses its algorithms anew for each size it meets.
    side = phase.patch - max(0, phase.lpips_shift - 1)
    top, left = (_below(max(1, phase.lpips_shift), random) for _ in range(2))
    view = View(top, left, side, phase.lpips_scales[_below(len(phase.lpips_scales), random)])
    if not phase.lpips_turned:
        return view
    share, black = (float(value) for value in torch.rand(2, generator=random))
    contrast = LEAST_CONTRAST + (1 - LEAST_CONTRAST) * share
    channels = tuple(int(channel) for channel in torch.randperm(3, generator=random))
    return view._replace(turn=_below(8, random), channels=channels, contrast=contrast, black=black * (1 - contrast))


def show(image: Tensor, view: View) -> Tensor:
    """The view of pictures.

    Args:
        image: (N, 3, P, P), square, values in [0, 1].
        view: What of it; its square must lie within.

    Returns:
        (N, 3, S, S), values in [0, 1]; S is the view's side, reduced to its scale.
    """
    side = view.side or image.shape[-1]
    square = image[..., view.top : view.top + side, view.left : view.left + side]
    if view.scale != 1:
        square = F.interpolate(square, size=(round(side * view.scale),) * 2, mode="bilinear", antialias=True)
    if view.turn % 4:  # a turn by nothing would still copy, and give up channels-last memory
        square = torch.rot90(square, view.turn % 4, (2, 3))
    if view.turn >= 4:
        square = square.flip(3)
    if view.channels != WHOLE.channels:
        # Not by a list as an index: to bring that to a GPU is to wait for all that was queued there.
        square = torch.stack([square[:, channel] for channel in view.channels], 1)
    return square if view.contrast == 1 else view.black + view.contrast * square
