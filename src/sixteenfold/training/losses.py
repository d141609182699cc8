"""What a network is punished for; each a plain function with its formula and source."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import DiscriminatorOutput

Distance = Literal["mse", "l1", "charbonnier", "huber", "log_mse"]

HUBER_DELTA = 0.01
"""Where Huber's loss turns from a parabola into a line. Source: the authors' code."""
LOG_FLOOR = 1e-4
"""Mean squared difference, that of 40 dB, below which a picture's share in the gradient grows no more."""


def pixel_loss(sr: Tensor, hr: Tensor, kind: Distance) -> Tensor:
    """Mean distance of values, of pixels or of features.

    Args:
        sr: Result, (N, C, H, W).
        hr: Original, the same shape.
        kind: With d = sr - hr: "mse", mean d^2 (factsheet, section 3); "l1", mean |d|; "charbonnier",
            mean sqrt(d^2 + 1e-6) (Lai et al., CVPR 2017, section 3.3), L1 with a smooth floor; "huber",
            mean of d^2 / 2 where |d| < 0.01, else 0.01 (|d| - 0.005) (the authors' code); "log_mse", the mean
            over pictures of log(mean d^2 + 1e-4), PSNR by another scale: what a picture of little contrast differs by
            counts as much as another's (after the PSNR loss of HINet, Chen et al., CVPRW 2021).

    Returns:
        A scalar.
    """
    if kind == "mse":
        return F.mse_loss(sr, hr)
    if kind == "l1":
        return F.l1_loss(sr, hr)
    if kind == "huber":
        return F.huber_loss(sr, hr, delta=HUBER_DELTA)
    if kind == "log_mse":
        return ((sr - hr).square().flatten(1).mean(dim=1) + LOG_FLOOR).log().mean()
    return ((sr - hr).square() + 1e-6).sqrt().mean()


def adversarial_loss(fake: DiscriminatorOutput) -> Tensor:
    """What the generator is punished for when its pictures are told from originals.

    - mean D(sr), averaged over the heads. Source: Lim and Ye, "Geometric GAN",
    2017, equation 20 (hinge loss); over both heads as Schoenfeld et al., CVPR 2020, equation 4.

    Args:
        fake: Output for results, of any size; logits are positive for real.

    Returns:
        A scalar, of any sign and size.
    """
    return -torch.stack([logits.float().mean() for logits in fake.logits]).mean()


def discriminator_loss(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """What the discriminator is punished for.

    mean max(0, 1 - D(hr)) + mean max(0, 1 + D(sr)), averaged over the heads.
    Sources as for `adversarial_loss`.

    Args:
        real: Output for originals.
        fake: Output for results, of the same discriminator.

    Returns:
        A scalar: 0 where all is told apart, 2 where all logits are 0.
    """
    pairs = zip(real.logits, fake.logits, strict=True)
    return torch.stack([F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in pairs]).mean()


def feature_matching_loss(fake: Sequence[Tensor], real: Sequence[Tensor], kind: Distance) -> Tensor:
    """Mean over the discriminator's stages of the distance between their features of sr and hr.

    Source: Wang et al., "High-Resolution Image Synthesis with Conditional GANs", CVPR 2018, equation 4
    (there with L1); over all twelve stages of the U-net as the authors' code.

    Args:
        fake: Features of the results, one tensor a stage.
        real: Features of the originals, of the same shapes; no gradient goes into them.
        kind: As for `pixel_loss`.
    """
    distances = [pixel_loss(a.float(), b.detach().float(), kind) for a, b in zip(fake, real, strict=True)]
    return torch.stack(distances).mean()


def lpips_loss(sr: Tensor, hr: Tensor, lpips: LPIPS) -> Tensor:
    """Mean LPIPS over the batch. Source: the factsheet, section 3; see `sixteenfold.metrics.lpips`.

    Args:
        sr: Result, (N, 3, H, W) RGB in [0, 1]; sides of at least 31 pixels for AlexNet, 16 for VGG.
        hr: Original, the same shape.
        lpips: The metric, on their device.

    Returns:
        A scalar, 0 or more.
    """
    return lpips(sr, hr).mean()


def dists_loss(sr: Tensor, hr: Tensor, dists: DISTS) -> Tensor:
    """Mean DISTS over the batch: texture as statistics, so that it need not lie where the original's does.

    Source: Ding et al., "Comparison of Full-Reference Image Quality Models for Optimization of Image Processing
    Systems", IJCV 2021, where it is among the best to train super-resolution by; see `sixteenfold.metrics.dists`.

    Args:
        sr: Result, (N, 3, H, W) RGB in [0, 1]; sides of at least 16 pixels.
        hr: Original, the same shape; a gradient goes into it too if it asks for one.
        dists: The metric, on their device.

    Returns:
        A scalar, 0 for equal pictures.
    """
    return dists(sr, hr).mean()


class VGGFeatures(nn.Module):
    """conv5_3 of VGG16 before its ReLU: (N, 3, H, W) RGB in [0, 1], sides of 16 or more -> (N, 512, H/16, W/16).

    ESRGAN takes conv5_4 of VGG19, which no package at hand carries; conv5_3 is VGG16's last convolution as
    conv5_4 is VGG19's.

    Raises SixteenfoldError when no weights are to be had.
    """

    def __init__(self) -> None:
        super().__init__()
        # Its normalisation is ImageNet's, which VGG was trained with.
        self.lpips = LPIPS("vgg")
        *before, last = self.lpips.backbone.stages
        self.layers = nn.Sequential(*before, *list(last.children())[:-1])

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(self.lpips.normalise(image))


def vgg_loss(sr: Tensor, hr: Tensor, features: VGGFeatures) -> Tensor:
    """mean |V(sr) - V(hr)|, V the last convolution of VGG before activation.

    Source: ESRGAN, section 3.2 (Wang et al., ECCVW 2018).

    Args:
        sr: Result, (N, 3, H, W) RGB in [0, 1]; sides of at least 16 pixels.
        hr: Original, the same shape; no gradient goes into it.
        features: The network, on their device.

    Returns:
        A scalar.
    """
    with torch.no_grad():
        wanted = features(hr)
    return F.l1_loss(features(sr).float(), wanted.float())


def cutmix_mask(height: int, width: int, random: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Where a mixed picture is real: (1, 1, H, W) bool on the device, false in one box.

    The box covers a uniformly drawn share of the picture, at a uniform place, in the picture's
    proportions. Source: Yun et al., "CutMix", ICCV 2019, section 3.1, with Beta(1, 1).
    """
    share = float(torch.rand((), generator=random)) ** 0.5
    box_height, box_width = round(height * share), round(width * share)
    top = int(torch.randint(height - box_height + 1, (), generator=random))
    left = int(torch.randint(width - box_width + 1, (), generator=random))
    mask = torch.ones(1, 1, height, width, dtype=torch.bool, device=device)
    mask[..., top : top + box_height, left : left + box_width] = False
    return mask


def cutmix_loss(
    mixed: DiscriminatorOutput, real: DiscriminatorOutput, fake: DiscriminatorOutput, mask: Tensor
) -> Tensor:
    """How far the output for a mixed picture is from the mixture of the outputs.

    mean (D(mix(hr, sr)) - mix(D(hr), D(sr)))^2 over the decoder head, so that a pixel is judged by its
    surroundings' content, not by the cut. Source: Schoenfeld et al., CVPR 2020, equation 7.

    Args:
        mixed: Output for the pictures that are hr where the mask is true and sr elsewhere.
        real: Output for hr.
        fake: Output for sr.
        mask: (1, 1, H, W) bool.

    All outputs are of a discriminator with decoder.
    """
    assert mixed.decoder is not None and real.decoder is not None and fake.decoder is not None
    return F.mse_loss(mixed.decoder, torch.where(mask, real.decoder, fake.decoder))
