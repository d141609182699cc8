"""PSNR and SSIM against scikit-image."""

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.overrides import TorchFunctionMode

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import luma
from sixteenfold.metrics import fidelity
from sixteenfold.metrics.fidelity import psnr, ssim


def pair(height: int, width: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height * width)
    hr = torch.rand(2, channels, height, width, generator=generator)
    hr[:, :, : height // 2] = 0.25  # a flat part, where variances cancel
    return (hr + 0.05 * torch.randn(hr.shape, generator=generator)).clamp(0, 1), hr


@pytest.mark.parametrize("size", [(11, 11), (75, 40), (140, 33)])
def test_equal_scikit_image(size: tuple[int, int]) -> None:
    sr, hr = pair(*size)
    for i in range(2):
        first, second = sr[i].double().numpy(), hr[i].double().numpy()
        assert psnr(sr, hr)[i].item() == pytest.approx(peak_signal_noise_ratio(second, first, data_range=1), abs=1e-6)
        expected = structural_similarity(
            second, first, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim(sr, hr)[i].item() == pytest.approx(expected, abs=1e-6)


def test_on_luma_equal_scikit_image() -> None:
    sr, hr = pair(75, 40)
    first, second = (luma(picture[:1])[0, 0].double().numpy() for picture in (sr, hr))
    expected = peak_signal_noise_ratio(second, first, data_range=1)
    assert psnr(sr, hr, on_luma=True)[0].item() == pytest.approx(expected, abs=1e-6)
    similarity = structural_similarity(
        second, first, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(sr, hr, on_luma=True)[0].item() == pytest.approx(similarity, abs=1e-6)


def test_strips_do_not_change_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    sr, hr = pair(90, 20, channels=1)
    whole = torch.stack((psnr(sr, hr), ssim(sr, hr)))
    monkeypatch.setattr(fidelity, "STRIP", 7)
    assert torch.allclose(torch.stack((psnr(sr, hr), ssim(sr, hr))), whole, rtol=1e-12)


def test_equal_pictures() -> None:
    _, hr = pair(16, 16)
    assert psnr(hr, hr).tolist() == [math.inf, math.inf]
    assert ssim(hr, hr).tolist() == pytest.approx([1, 1])


def test_ssim_refuses_what_is_smaller_than_its_window() -> None:
    with pytest.raises(SixteenfoldError, match="SSIM: a picture of 10x16 is too small, at least 11x11"):
        ssim(torch.zeros(1, 3, 16, 10), torch.zeros(1, 3, 16, 10))


@pytest.mark.parametrize("on_luma", [False, True])
def test_on_a_device_without_float64(apple_gpu: TorchFunctionMode, on_luma: bool) -> None:
    sr, hr = pair(30, 20)
    with apple_gpu:
        found = psnr(sr, hr, on_luma=on_luma), ssim(sr, hr, on_luma=on_luma)
    assert torch.equal(found[0], psnr(sr, hr, on_luma=on_luma)) and torch.equal(found[1], ssim(sr, hr, on_luma=on_luma))
