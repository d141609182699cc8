"""NIQE against a second, direct evaluation of the paper's equations with numpy and scipy."""

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar
from scipy.special import gamma
from torch.overrides import TorchFunctionMode

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import luma
from sixteenfold.imaging.resample import resize
from sixteenfold.metrics import niqe as module
from sixteenfold.metrics.niqe import niqe

Array = NDArray[Any]


def textured(height: int, width: int) -> torch.Tensor:
    random = np.random.default_rng(4)
    noise = gaussian_filter(random.normal(size=(height, width)), 1.2) + 0.1 * random.normal(size=(height, width))
    # Far from extremes, so that nothing is clipped to a flat part.
    plane = (0.5 + 0.25 * noise / np.abs(noise).max()).astype(np.float32)
    return torch.from_numpy(plane).expand(1, 3, -1, -1)


def shape_of(samples: Array) -> tuple[float, float, float]:
    if not samples.any():
        return 0.2, np.nan, np.nan  # the first shape that the published procedure tries
    left = np.sqrt(np.mean(samples[samples < 0] ** 2))
    right = np.sqrt(np.mean(samples[samples > 0] ** 2))
    g = left / right
    wanted = np.mean(np.abs(samples)) ** 2 / np.mean(samples**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    found: Any = minimize_scalar(
        lambda a: (gamma(2 / a) ** 2 / (gamma(1 / a) * gamma(3 / a)) - wanted) ** 2,
        bounds=(0.2, 10),
        method="bounded",
        options={"xatol": 1e-7},
    )
    found = found.x
    spread = np.sqrt(gamma(1 / found) / gamma(3 / found))
    return found, left * spread, right * spread


def features(grey: Array, block: int) -> Array:
    def smooth(x: Array) -> Array:
        return gaussian_filter(x, 7 / 6, radius=3, mode="nearest")

    mean = smooth(grey)
    coefficients = np.round((grey - mean) / (np.sqrt(np.abs(smooth(grey**2) - mean**2)) + 1), 12)
    rows = []
    for top in range(0, grey.shape[0], block):
        for start in range(0, grey.shape[1], block):
            part = coefficients[top : top + block, start : start + block]
            a, left, right = shape_of(part)
            row = [a, (left + right) / 2]
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                a, left, right = shape_of(part * np.roll(np.roll(part, dy, 0), dx, 1))
                row += [a, (right - left) * gamma(2 / a) / gamma(1 / a), left, right]
            rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("night", [0, 110])
def test_equals_a_direct_evaluation(night: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A flat block is to be flat on both sides, with nothing that the last bits of its mean leave.
    normalise = module._normalise
    monkeypatch.setattr(module, "_normalise", lambda strip: normalise(strip).round(decimals=12))
    picture = textured(200, 290).clone()  # 2 x 3 blocks and a rest that does not count
    picture[..., :night, :night] = 0  # all of one block, and what its margin sees
    # The whole luma range minus what is cropped, on the 8-bit grid.
    grey = np.round(luma(picture).double()[0, 0, :192, :288].numpy() * 255)
    half = resize(torch.from_numpy(grey)[None, None], (96, 144)).numpy()[0, 0]
    rows = np.concatenate((features(grey, 96), features(half, 48)), axis=1)
    with (files("sixteenfold.metrics") / "niqe_pristine.npz").open("rb") as file, np.load(file) as model:
        # The mean is over the blocks that have a feature, the covariance of those that have all.
        away = model["mean"] - np.nanmean(rows, axis=0)
        complete = rows[~np.isnan(rows).any(axis=1)]
        covariance = (model["covariance"] + np.cov(complete, rowvar=False)) / 2
    assert len(complete) == (5 if night else 6)
    expected = np.sqrt(away @ np.linalg.pinv(covariance) @ away)
    # The published procedure tries shapes in steps of 0.001; the direct one finds them exactly.
    assert niqe(picture) == pytest.approx(expected, rel=2e-3)
    assert expected > 2


def test_noise_is_less_natural() -> None:
    picture = textured(192, 192)
    noisy = picture + 0.08 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    assert niqe(noisy.clamp(0, 1)) > niqe(picture)


def test_8_bit_tensors_are_taken() -> None:
    picture = (textured(96, 192) * 255).round()
    assert niqe(picture.to(torch.uint8)) == pytest.approx(niqe(picture / 255), rel=1e-9)


def test_on_a_device_without_float64(apple_gpu: TorchFunctionMode) -> None:
    picture = textured(96, 192)
    with apple_gpu:
        found = niqe(picture)
    assert found == niqe(picture)


def test_refuses_what_has_no_statistics() -> None:
    with pytest.raises(SixteenfoldError, match="191x96 is too small"):
        niqe(torch.zeros(1, 3, 96, 191))
    with pytest.raises(SixteenfoldError, match="flat"):
        niqe(torch.zeros(1, 3, 96, 192))
