"""The resampling is MATLAB's formula, evaluated here once more, one pixel at a time in float64."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sixteenfold.imaging import resample
from sixteenfold.imaging.resample import (
    by_matrix,
    downscale,
    downscale_in_strips,
    resize,
    round_to_8_bits,
    taps,
    to_8_bits,
)
from sixteenfold.kernels.exact import SETTINGS


def keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x <= 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def mirrored(index: int, length: int) -> int:
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


def direct(length: int, new_length: int, scale: float) -> np.ndarray:
    """imresize along one direction as a matrix, straight from its definition with 1-based coordinates."""
    narrow = min(scale, 1.0)
    matrix = np.zeros((new_length, length))
    for out in range(1, new_length + 1):
        u = out / scale + 0.5 * (1 - 1 / scale)
        for place in range(math.floor(u - 2 / narrow) - 2, math.ceil(u + 2 / narrow) + 3):
            matrix[out - 1, mirrored(place - 1, length)] += keys((u - place) * narrow)
    return matrix / matrix.sum(1, keepdims=True)


def direct_2d(picture: np.ndarray, size: tuple[int, int], scales: tuple[float, float]) -> np.ndarray:
    rows, columns = (direct(*lengths) for lengths in zip(picture.shape, size, scales, strict=True))
    return rows @ picture @ columns.T


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    seed=st.integers(0, 2**31),
)
def test_resize_equals_direct_evaluation(shape: tuple[int, int], size: tuple[int, int], seed: int) -> None:
    picture = np.random.default_rng(seed).random(shape)
    expected = direct_2d(picture, size, (size[0] / shape[0], size[1] / shape[1]))
    result = resize(torch.from_numpy(picture)[None, None], size)[0, 0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(16, 16), (33, 17), (96, 80), (1, 100), (5, 5)])
def test_downscale_rounds_the_size_up_and_keeps_the_scale(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).random(shape)
    size = (math.ceil(shape[0] / 16), math.ceil(shape[1] / 16))
    result = downscale(torch.from_numpy(picture)[None, None])[0, 0].numpy()
    assert result.shape == size
    np.testing.assert_allclose(result, direct_2d(picture, size, (1 / 16, 1 / 16)), atol=1e-12)


@pytest.mark.parametrize(("dtype", "most"), [(torch.uint8, 255), (torch.uint16, 65535), (torch.float64, 1)])
def test_in_strips_it_is_the_same_downscale(dtype: torch.dtype, most: int) -> None:
    picture = torch.rand(1, 3, 16 * 40 + 5, 37, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    picture = (most * picture).to(dtype)
    small = downscale_in_strips(picture)
    assert small.shape == (1, 3, 41, 3)
    assert torch.allclose(small.double(), downscale(picture.double() / most), atol=1e-6)


def test_float32_stays_near_float64() -> None:
    picture = torch.rand(1, 3, 160, 192, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (downscale(picture.float()) - downscale(picture)).abs().max() < 1e-6


def test_a_flat_picture_stays_flat() -> None:
    assert torch.allclose(resize(torch.full((1, 1, 37, 23), 0.3), (7, 91)), torch.tensor(0.3), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_borders_mirror_again_and_again(length: int) -> None:
    places = range(-3 * length, 4 * length)
    found = resample.mirrored(torch.tensor(places), length).tolist()
    assert found == [mirrored(place, length) for place in places]


def test_weights_that_were_made_without_gradients_serve_those_with() -> None:
    with torch.inference_mode():
        taps(43, 7, 7 / 43)
    picture = torch.rand(1, 1, 43, 43, dtype=torch.float64, requires_grad=True)
    resize(picture, (7, 7)).sum().backward()
    assert picture.grad is not None


def test_resampling_passes_gradients() -> None:
    picture = torch.rand(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(downscale, (picture,))


def test_rounding_is_half_up_and_clamped() -> None:
    values = torch.tensor([-0.2, 0.5 / 255, 1.49 / 255, 1.0, 1.3], dtype=torch.float64)
    assert torch.allclose(round_to_8_bits(values) * 255, torch.tensor([0.0, 1, 1, 255, 255], dtype=torch.float64))
    assert to_8_bits(values).tolist() == [0, 1, 1, 255, 255]
    assert to_8_bits(torch.ones(1, dtype=torch.bfloat16)).tolist() == [255]


def test_empty_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        resize(torch.rand(1, 1, 4, 4), (0, 4))


@pytest.mark.parametrize(("old", "new"), [(20, 300), (600, 600), (600, 500), (600, 37), (1100, 2)])
def test_longer_sides_take_several_products(old: int, new: int) -> None:
    picture = np.random.default_rng(2).random((old, old))
    expected = direct_2d(picture, (new, new), (new / old, new / old))
    result = resize(torch.from_numpy(picture)[None, None], (new, new))[0, 0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.fixture
def products_by_tf32() -> Iterator[None]:
    before = SETTINGS[-1].fp32_precision
    SETTINGS[-1].fp32_precision = "tf32"
    yield
    SETTINGS[-1].fp32_precision = before


@pytest.mark.usefixtures("products_by_tf32")
@pytest.mark.parametrize("dim", [-2, -1])
def test_products_never_go_by_tf32(dim: int) -> None:
    seen: list[str] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (Tensor.matmul, Tensor.__matmul__):
                seen.append(SETTINGS[-1].fp32_precision)
            return func(*args, **(kwargs or {}))

    image = torch.rand(1, 1, 32, 32)
    with Watch():
        by_matrix(image, dim, torch.rand(2, 32))
    assert seen == ["ieee"]
    assert SETTINGS[-1].fp32_precision == "tf32"
