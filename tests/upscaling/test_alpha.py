"""Alpha comes out as a mask: solid inside, empty outside."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from sixteenfold.imaging.color import to_pixels
from sixteenfold.imaging.resample import downscale, resize
from sixteenfold.upscaling.alpha import alpha_bands
from sixteenfold.upscaling.upscaler import Upscaler


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler("compact", device="cpu", precision="fp32")


def enlarged(alpha: Tensor, upscaler: Upscaler, skip: int = 0) -> Tensor:
    size = 16 * alpha.shape[2], 16 * alpha.shape[3]
    return torch.cat(list(alpha_bands(alpha, size, upscaler, skip)), dim=2)


def disc(side: int, within: float, around: float) -> Tensor:
    place = torch.arange(side) - side // 2
    inside = place[:, None] ** 2 + place**2 < side * side / 7
    return torch.where(inside, within, around)[None, None].float()


def aslant() -> Tensor:
    line = torch.zeros(1, 1, 20, 20)
    for column in range(2, 18):
        line[..., 4 + column // 2, column] = 1
    return line


def far_inside(mask: Tensor) -> Tensor:
    """Which pixels of the result lie half a small pixel or more within the mask."""
    return -max_pool2d(-mask.float().repeat_interleave(16, 2).repeat_interleave(16, 3), 17, 1, 8) == 1


@pytest.mark.parametrize("alpha", [disc(24, 1, 0), disc(24, 0, 1), aslant()], ids=["disc", "hole", "line"])
def test_a_hard_mask_is_solid_inside_and_empty_outside(upscaler: Upscaler, alpha: Tensor) -> None:
    made = enlarged(alpha, upscaler)
    in_file = torch.from_numpy(to_pixels(made, np.uint8))[None, None, ..., 0]
    assert (in_file[far_inside(alpha == 1)] == 255).all()
    assert (in_file[far_inside(alpha == 0)] == 0).all()
    # No mask from 0 to 1 has steps as hard as these when reduced; this one is nearer than bicubic's.
    bicubic = resize(alpha, (made.shape[2], made.shape[3])).clamp(0, 1)
    off, bicubic_off = (float((downscale(mask) - alpha).square().mean().sqrt()) for mask in (made, bicubic))
    assert off < 0.95 * bicubic_off


def test_a_callers_autocast_does_not_round_it(upscaler: Upscaler) -> None:
    alpha = torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    expected = enlarged(alpha, upscaler)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(enlarged(alpha, upscaler), expected)


def test_whatever_enlarges_the_colours_the_same_network_enlarges_alpha(upscaler: Upscaler) -> None:
    alpha = disc(8, 1, 0)
    expected = enlarged(alpha, upscaler)
    for model in ("medium", "compact-fidelity"):
        assert torch.equal(enlarged(alpha, Upscaler(model, device="cpu", precision="fp32")), expected)


def test_an_even_pane_has_no_rings(upscaler: Upscaler) -> None:
    alpha = disc(24, 0.5, 0)
    made = enlarged(alpha, upscaler)
    assert made.max() < 0.5001
    assert made[far_inside(alpha == 0.5)].min() > 0.4999


@pytest.mark.parametrize("size", [(37 * 16, 96), (203, 61), (30, 5)])
def test_bands_that_are_skipped_change_no_other(upscaler: Upscaler, size: tuple[int, int]) -> None:
    alpha = torch.rand(1, 1, 37, 6, generator=torch.Generator().manual_seed(0))
    whole = list(alpha_bands(alpha, size, upscaler, 0))
    assert [band.shape[2] for band in whole] == list(upscaler.band_rows(37, size[0]))
    assert all(map(torch.equal, alpha_bands(alpha, size, upscaler, 1), whole[1:]))


@pytest.mark.parametrize("size", [(37 * 16, 96), (203, 61), (30, 5), (9, 4)])
def test_the_bounds_are_those_of_linear_interpolation_at_any_size(size: tuple[int, int]) -> None:
    """PyTorch's, of the whole picture; what would leave them above or below is cut off."""
    alpha = torch.rand(1, 1, 37, 6, generator=torch.Generator().manual_seed(0))
    around = torch.cat((alpha, -max_pool2d(-alpha, 3, 1, 1), max_pool2d(alpha, 3, 1, 1)), dim=1)
    linear, lowest, highest = interpolate(around, size, mode="bilinear", antialias=True).chunk(3, dim=1)
    freedom = torch.minimum(linear - lowest, highest - linear)
    for level, expected in ((0.0, linear - freedom), (1.0, linear + freedom)):

        def bands(_: Tensor, *, size: tuple[int, int], skip: int, level: float = level) -> list[Tensor]:
            return [torch.full((1, 1, rows, size[1]), level) for rows in Upscaler.band_rows(37, size[0])[skip:]]

        network: Any = SimpleNamespace(band_rows=Upscaler.band_rows, for_masks=SimpleNamespace(bands=bands))
        made = torch.cat(list(alpha_bands(alpha, size, network, 0)), dim=2)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
