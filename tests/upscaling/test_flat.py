"""Exactly flat ground stays as it is, and nothing else changes."""

import pytest
import torch
from torch import Tensor

from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.flat import keep_flat
from sixteenfold.upscaling.tiles import Span
from sixteenfold.upscaling.upscaler import Upscaler


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def ground(height: int, width: int, channels: int = 3) -> Tensor:
    """One colour, but for noise in the columns from the tenth on."""
    lr = torch.linspace(0.2, 0.7, channels)[None, :, None, None].repeat(1, 1, height, width)
    lr[..., 9:] = noise(1, channels, height, width - 9)
    return lr


def test_the_weight_falls_from_the_last_flat_pixel_to_the_next():
    lr = ground(4, 16)
    made = keep_flat(torch.zeros(1, 3, 64, 256), lr, Span(0, 4))
    # Columns 0 to 7 have nine pixels alike; the eighth's centre lies at 16 * 7 + 8, the next pixel's sixteen on.
    weight = ((16 * 8 + 8 - (torch.arange(256) + 0.5)) / 16).clamp(0, 1)
    colour = lr[:, :, :1, :1]
    torch.testing.assert_close(made, (colour * weight).expand(-1, -1, 64, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_all_channels_have_to_be_alike(channel: int):
    lr, sr = torch.full((1, 3, 3, 3), 0.5), noise(1, 3, 48, 48)
    lr[:, channel] = noise(1, 1, 3, 3)[:, 0]
    assert torch.equal(keep_flat(sr.clone(), lr, Span(0, 3)), sr)


@pytest.mark.parametrize("place", [(i, j) for i in range(3) for j in range(3)])
def test_all_nine_have_to_be_alike(place: tuple[int, int]):
    lr, sr = torch.full((1, 1, 5, 5), 0.5), noise(1, 1, 80, 80)
    middle = slice(2 * 16, 3 * 16)
    assert (keep_flat(sr.clone(), lr, Span(0, 5))[..., middle, middle] == 0.5).all()
    lr[0, 0, 1 + place[0], 1 + place[1]] += 1 / 65535
    assert (keep_flat(sr, lr, Span(0, 5))[..., middle, middle] != 0.5).any()


def test_rows_by_themselves_are_those_of_the_whole():
    lr = torch.cat((ground(5, 20), noise(1, 3, 3, 20), ground(9, 20), noise(1, 3, 1, 20), ground(4, 20)), dim=2)
    height = lr.shape[2]
    sr = noise(1, 3, 16 * height, 320)
    whole = keep_flat(sr.clone(), lr, Span(0, height))
    for rows in (Span(top, min(top + 2, height)) for top in range(0, height, 2)):
        assert torch.equal(
            keep_flat(sr[:, :, rows.times(16).slice].clone(), lr, rows), whole[:, :, rows.times(16).slice]
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_is_drawn_on_flat_ground(network: Generator, channels: int):
    lr = ground(37, 30, channels)
    sr = Upscaler(network, device="cpu", precision="fp32", tile=16)(lr)
    colour = lr[:, :, :1, :1].expand(-1, -1, 16 * 37, 16 * 8 - 8)
    torch.testing.assert_close(sr[..., : 16 * 8 - 8], colour, rtol=0, atol=1e-6)
    free = Upscaler(network, device="cpu", precision="fp32", tile=16, consistency=False)(lr)
    assert (free[..., : 16 * 8 - 8] - colour).std() > 0.01, "without the projection it is the network's own"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_pixel_is_flat(network: Generator, channels: int):
    lr = ground(1, 10, channels)[..., :1]
    sr = Upscaler(network, device="cpu", precision="fp32")(lr)
    torch.testing.assert_close(sr, lr.expand(-1, -1, 16, 16), rtol=0, atol=1e-6)
