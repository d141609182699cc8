"""Round trips are exact, luma is MATLAB's, and transparency leaks no colour."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import fill_transparent, luma, to_pixels, to_tensor


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_survives_the_round_trip(dtype: type) -> None:
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 64, 1)
    tensor = to_tensor(values)
    assert tensor.shape == (1, 1, len(values), 64) and tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (0, 1)
    assert np.array_equal(to_pixels(tensor, dtype), values)


def test_float_pixels_survive_and_are_clamped() -> None:
    pixels = np.array([[[0.0], [0.1], [1.0]]], np.float32)
    assert np.array_equal(to_pixels(to_tensor(pixels), np.float32), pixels)
    assert to_pixels(torch.tensor([[[[-0.5, 1.5]]]]), np.float32).ravel().tolist() == [0, 1]


def test_channels_go_last() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert torch.equal(to_tensor(pixels)[0, :, 1, 2] * 255, torch.tensor([15.0, 16.0, 17.0]))
    assert to_pixels(to_tensor(pixels), np.uint8).flags.c_contiguous


@pytest.mark.parametrize(("value", "pixel"), [(0.49 / 255, 0), (0.5 / 255, 1), (2.5 / 255, 3), (-1, 0), (2, 255)])
def test_halves_go_up_and_the_rest_is_clamped(value: float, pixel: int) -> None:
    assert to_pixels(torch.full((1, 1, 1, 1), value), np.uint8).item() == pixel


def test_infinite_is_clamped_and_nan_refused() -> None:
    assert to_pixels(torch.tensor([[[[-torch.inf, torch.inf]]]]), np.uint16).ravel().tolist() == [0, 65535]
    with pytest.raises(SixteenfoldError, match="contains NaN"):
        to_pixels(torch.tensor([[[[0.5, torch.nan]]]]), np.uint8)


def test_half_precision_is_taken() -> None:
    assert to_pixels(torch.ones(1, 3, 1, 1, dtype=torch.bfloat16), np.uint8).tolist() == [[[255, 255, 255]]]


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="int32"):
        to_tensor(np.zeros((1, 1, 1), np.int32))
    with pytest.raises(ValueError, match="float64"):
        to_pixels(torch.zeros(1, 1, 1, 1), np.float64)


def test_luma_is_rgb2ycbcr() -> None:
    """MATLAB: rgb2ycbcr of uint8 white, black, red, green, blue has Y = 235, 16, 81, 145, 41."""
    colors = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    y = luma(colors.view(5, 3, 1, 1)) * 255
    assert y.shape == (5, 1, 1, 1)
    assert y.round().ravel().tolist() == [235, 16, 81, 145, 41]


def enlarged(pixels: np.ndarray) -> np.ndarray:
    big = F.interpolate(to_tensor(pixels), scale_factor=4, mode="bicubic", antialias=False)
    return to_pixels(big, pixels.dtype)


def test_no_halo_at_a_transparent_edge() -> None:
    pixels = np.zeros((24, 24, 3), np.uint8)  # black under transparency, as editors leave it
    pixels[:, :10] = (200, 120, 40)
    alpha = np.zeros((24, 24), np.uint8)
    alpha[:, :10] = 255
    assert not np.array_equal(enlarged(pixels)[:, 39], np.tile([200, 120, 40], (96, 1)))  # the halo
    filled = fill_transparent(pixels, alpha)
    assert np.array_equal(filled, np.broadcast_to([200, 120, 40], filled.shape))


def test_fill_takes_the_nearer_colour() -> None:
    pixels = np.zeros((9, 40, 1), np.uint16)
    pixels[:, :4], pixels[:, -4:] = 60000, 1000
    alpha = np.zeros((9, 40), np.uint16)
    alpha[:, :4] = alpha[:, -4:] = 65535
    filled = fill_transparent(pixels, alpha)
    assert filled[4, 5, 0] > 50000 and filled[4, -6, 0] < 11000


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_fill_keeps_what_is_visible_and_invents_no_colour(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = rng.choice([0, 0, 0, 7, 255], (height, width)).astype(np.uint8)
    filled = fill_transparent(pixels, alpha)
    seen = alpha > 0
    assert filled.shape == pixels.shape and filled.dtype == pixels.dtype
    assert np.array_equal(filled[seen], pixels[seen])
    if seen.any():
        assert (filled >= pixels[seen].min(0)).all() and (filled <= pixels[seen].max(0)).all()
    else:
        assert np.array_equal(filled, pixels)
    assert np.array_equal(filled, fill_transparent(pixels, alpha))
