"""The folded projection is the rounds it stands for, and brings the input back."""

import pytest
import torch

from sixteenfold.imaging.resample import downscale, resize, round_to_8_bits
from sixteenfold.upscaling.consistency import correction, project, reach


def pair(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lr = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64)
    sr = torch.rand(2, 3, 16 * height, 16 * width, generator=generator, dtype=torch.float64)
    return sr, lr


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (3, 2), (9, 5)])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_rounds_are_those_of_back_projection(height: int, width: int, rounds: int):
    sr, lr = pair(height, width)
    expected = sr
    for _ in range(rounds):
        expected = expected + resize(lr - downscale(expected), (16 * height, 16 * width))
    torch.testing.assert_close(project(sr, lr, rounds), expected, rtol=0, atol=1e-12)


def test_result_downscales_to_the_input_after_rounding():
    lr = resize(pair(5, 5)[1] * 0.8 + 0.1, (12, 12))
    sr = resize(lr, (192, 192)) + 0.1 * torch.sin(0.1 * torch.arange(192, dtype=torch.float64))
    before = (downscale(sr) - lr).square().mean()
    after = (downscale(round_to_8_bits(project(sr, lr))) - lr).square().mean()
    assert -10 * before.log10() < 40
    assert -10 * after.log10() > 50


def test_a_consistent_picture_is_left_alone():
    sr = pair(4, 4)[0]
    torch.testing.assert_close(project(sr, downscale(sr)), sr, rtol=0, atol=1e-12)


def test_no_rounds_change_nothing():
    sr, lr = pair(2, 2)
    assert torch.equal(project(sr, lr, 0), sr)


def test_a_windows_inner_part_does_not_see_its_edges():
    residual = pair(30, 6)[1]
    whole = correction(residual, 4)
    window = correction(residual[:, :, 5:25], 4)
    inside = reach(4)
    torch.testing.assert_close(window[:, :, inside:-inside], whole[:, :, 5 + inside : 25 - inside], rtol=0, atol=1e-12)


def test_differentiable_in_both():
    sr, lr = pair(2, 1)
    assert torch.autograd.gradcheck(
        lambda a, b: project(a, b, 3)[..., ::7], (sr[:1].requires_grad_(), lr[:1].requires_grad_()), fast_mode=True
    )


def test_shapes_that_do_not_belong_together_are_refused():
    sr, lr = pair(2, 3)
    with pytest.raises(ValueError, match="by 16"):
        project(sr[..., :-1], lr)
    with pytest.raises(ValueError, match="negative"):
        project(sr, lr, -1)
