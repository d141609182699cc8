"""The U-net discriminator: logits for the whole picture and for every pixel.

Source: CIPLAB's NTIRE 2020 factsheet, figure 2; Schoenfeld, Schiele and Khoreva, "A U-Net Based
Discriminator for Generative Adversarial Networks", CVPR 2020, section 3.1 and its residual blocks.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sixteenfold.networks.generator import conv3x3, double, leaky_relu

GROUP = 16
"""Channels per group of the group normalisation."""


class DiscriminatorOutput(NamedTuple):
    """The discriminator's output for a batch; a positive logit means real.

    A tuple, because what spreads training over processes looks for tensors inside tuples only.
    """

    encoder: Tensor
    """(N, 1, H/64, W/64), a logit for each place of the bottleneck."""
    decoder: Tensor | None
    """(N, 1, H, W), a logit for each pixel; None without a decoder."""
    features: tuple[Tensor, ...]
    """Each stage's output: going down at 1/2 to 1/64 of the size, then, with a decoder, going up at 1/32 to 1/1."""

    @property
    def logits(self) -> list[Tensor]:
        """The logits of each head that exists."""
        return [logits for logits in (self.encoder, self.decoder) if logits is not None]


class Stage(nn.Module):
    """Two 3x3 convolutions, each normalised, beside a 1x1 shortcut. Shape: (N, inputs, H, W) -> (N, outputs, H, W).

    Normalised over groups of channels of one picture, never over the batch: the statistics of two pictures say
    little, and would differ between processes (docs/decisions.md). The shortcut is not
    normalised, so that brightness and contrast can be judged.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        groups = math.gcd(outputs, max(1, outputs // GROUP))
        self.conv1 = conv3x3(inputs, outputs)
        self.norm1 = nn.GroupNorm(groups, outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky_relu(self.norm1(self.conv1(x)))
        return leaky_relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class UNetDiscriminator(nn.Module):
    """Distinguishes real pictures from generated ones, as a whole and pixel by pixel.

    With the default widths it is the factsheet's network of 12,823,810 parameters.

    Args:
        widths: Channels of the stages on the way down, each halving the size. The way up mirrors them
            and ends with half of the first width.
        decoder: False leaves out the way up: the encoder alone, the usual discriminator in the factsheet's
            section 3.

    Raises:
        ValueError: If a width is less than 2.
    """

    def __init__(self, widths: tuple[int, ...] = (64, 128, 192, 256, 320, 384), *, decoder: bool = True) -> None:
        super().__init__()
        if not widths or min(widths) < 2:
            raise ValueError(f"widths must be at least 2: {widths}")
        self.widths = widths
        self.down = nn.ModuleList(Stage(a, b) for a, b in zip((3, *widths[:-1]), widths, strict=True))
        ups = (*reversed(widths[:-1]), widths[0] // 2) if decoder else ()
        # From the second on, a stage also reads the way down's output at its size, as wide as its input from below.
        inputs = (widths[-1], *(2 * width for width in ups[:-1])) if decoder else ()
        self.up = nn.ModuleList(Stage(a, b) for a, b in zip(inputs, ups, strict=True))
        self.encoder_head = nn.Conv2d(widths[-1], 1, kernel_size=1)
        self.decoder_head = nn.Conv2d(widths[0] // 2, 1, kernel_size=1) if decoder else None

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        """(N, 3, H, W) RGB in [0, 1], sides divisible by 64 (2 to the power of the number of stages) -> its output.

        Raises:
            ValueError: If a side is not divisible.
        """
        divisor = 2 ** len(self.widths)
        if image.shape[-2] % divisor or image.shape[-1] % divisor:
            raise ValueError(f"sides must be divisible by {divisor}, not {tuple(image.shape[-2:])}")
        x = 2 * image - 1
        going_down: list[Tensor] = []
        for stage in self.down:
            x = F.avg_pool2d(stage(x), 2)
            going_down.append(x)
        bottleneck = x
        if self.decoder_head is None:
            return DiscriminatorOutput(self.encoder_head(bottleneck), None, tuple(going_down))
        going_up: list[Tensor] = []
        # The bottleneck is the first stage's only input; the others also read the way down, in reverse order.
        skips = [None, *reversed(going_down[:-1])]
        for stage, skip in zip(self.up, skips, strict=True):
            x = stage(double(x if skip is None else torch.cat((x, skip), dim=1)))
            going_up.append(x)
        return DiscriminatorOutput(self.encoder_head(bottleneck), self.decoder_head(x), (*going_down, *going_up))
