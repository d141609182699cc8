"""Each loss against a value worked out by hand."""

import math

import pytest
import torch

from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import DiscriminatorOutput
from sixteenfold.training import losses


def output(encoder: float, *decoder: float, features: tuple[torch.Tensor, ...] = ()) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.full((1, 1, 1, 1), encoder), torch.tensor(decoder).view(1, 1, 1, -1), features)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", (0.01**2 * 0.25 + 0.3**2) / 2),
        ("l1", (0.005 + 0.3) / 2),
        ("charbonnier", (0.000026**0.5 + 0.090001**0.5) / 2),
        ("huber", (0.005**2 / 2 + 0.01 * (0.3 - 0.005)) / 2),
        ("log_mse", math.log((0.005**2 + 0.3**2) / 2 + 1e-4)),
    ],
)
def test_pixel_loss(kind: losses.Distance, expected: float) -> None:
    sr, hr = torch.tensor([0.505, 0.2]).view(1, 1, 1, 2), torch.tensor([0.5, 0.5]).view(1, 1, 1, 2)
    assert losses.pixel_loss(sr, hr, kind).item() == pytest.approx(expected, rel=1e-4)


def test_the_logarithm_is_of_each_picture_s_own_difference() -> None:
    """A picture of little contrast counts as much as one of much."""
    sr, hr = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 3, 4, 4)
    alone = [losses.pixel_loss(one[None], zero[None], "log_mse").item() for one, zero in zip(sr, hr, strict=True)]
    assert losses.pixel_loss(sr, hr, "log_mse").item() == pytest.approx(sum(alone) / 2)


def test_adversarial_loss_of_the_generator() -> None:
    # Heads: -0.5 and -(2 + 4) / 2 = -3.
    assert losses.adversarial_loss(output(0.5, 2.0, 4.0)).item() == pytest.approx(-1.75)


def test_adversarial_loss_of_the_discriminator() -> None:
    real, fake = output(0.25, 3.0, -1.0), output(-4.0, -0.5, 1.0)
    # Encoder: 0.75 + 0.  Decoder: (0 + 2) / 2 + (0.5 + 2) / 2.
    assert losses.discriminator_loss(real, fake).item() == pytest.approx((0.75 + 1 + 1.25) / 2)


def test_feature_matching_means_over_stages_and_spares_the_original() -> None:
    fake = (torch.ones(1, 2, 2, 2, requires_grad=True), torch.full((1, 1, 1, 1), 3.0))
    real = (torch.zeros(1, 2, 2, 2, requires_grad=True), torch.full((1, 1, 1, 1), 1.0))
    loss = losses.feature_matching_loss(fake, real, "mse")
    assert loss.item() == pytest.approx((1 + 4) / 2)
    loss.backward()
    assert fake[0].grad is not None and real[0].grad is None


def test_cutmix_is_free_when_the_output_mixes_too() -> None:
    real, fake = output(0, 1.0, 2.0, 3.0), output(0, -1.0, -2.0, -3.0)
    mask = torch.tensor([True, False, True]).view(1, 1, 1, 3)
    assert losses.cutmix_loss(output(9, 1.0, -2.0, 3.0), real, fake, mask).item() == 0
    assert losses.cutmix_loss(output(9, 1.0, 1.0, 3.0), real, fake, mask).item() == pytest.approx(9 / 3)


def test_cutmix_masks_are_boxes_of_every_size() -> None:
    shares: list[float] = []
    for seed in range(200):
        mask = losses.cutmix_mask(32, 48, torch.Generator().manual_seed(seed))
        inside = (~mask[0, 0]).nonzero()
        shares.append(len(inside) / mask.numel())
        if len(inside):
            height, width = (inside.max(0).values - inside.min(0).values + 1).tolist()
            assert height * width == len(inside)
    assert min(shares) < 0.05 and max(shares) > 0.95
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.06)
    again = losses.cutmix_mask(32, 48, torch.Generator().manual_seed(3))
    assert torch.equal(again, losses.cutmix_mask(32, 48, torch.Generator().manual_seed(3)))


def test_lpips_loss_is_the_mean_of_the_metric() -> None:
    lpips, random = LPIPS(), torch.Generator().manual_seed(0)
    sr, hr = torch.rand(2, 3, 32, 32, generator=random), torch.rand(2, 3, 32, 32, generator=random)
    single = [lpips(sr[i : i + 1], hr[i : i + 1]).item() for i in range(2)]
    assert losses.lpips_loss(sr.requires_grad_(), hr, lpips).item() == pytest.approx(sum(single) / 2, rel=1e-5)


def test_dists_loss_is_the_mean_of_the_metric() -> None:
    dists, random = DISTS(), torch.Generator().manual_seed(0)
    sr, hr = torch.rand(2, 3, 32, 48, generator=random), torch.rand(2, 3, 32, 48, generator=random)
    # The metric sums up rows in float64, the loss whole maps where they are.
    expected = dists(sr, hr).mean().item()
    sr.requires_grad_()
    loss = losses.dists_loss(sr, hr, dists)
    assert loss.item() == pytest.approx(expected, rel=1e-5) and expected > 0.01
    loss.backward()
    # A step against the gradient brings the two nearer.
    assert sr.grad is not None
    assert dists(sr.detach() - 1e-3 * sr.grad / sr.grad.abs().max(), hr).mean() < expected
    assert not any(p.requires_grad for p in dists.parameters())


def test_vgg_features_are_the_last_convolution_s_before_activation() -> None:
    features, random = losses.VGGFeatures(), torch.Generator().manual_seed(0)
    sr, hr = torch.rand(1, 3, 32, 32, generator=random), torch.rand(1, 3, 32, 32, generator=random)
    given = features(sr)
    assert given.shape == (1, 512, 2, 2) and given.min() < 0
    after = features.lpips.backbone(features.lpips.normalise(sr))[-1]
    assert torch.equal(given.relu(), after)
    expected = (given - features(hr)).abs().mean().item()
    assert losses.vgg_loss(sr.requires_grad_(), hr, features).item() == pytest.approx(expected, rel=1e-6)
    assert not any(p.requires_grad for p in features.parameters())
