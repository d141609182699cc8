"""The x16 generator: ESRGAN's RRDB network, doubled.

Source: CIPLAB's NTIRE 2020 factsheet, figure 1; residual-in-residual dense blocks from Wang et al.,
"ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018, section 3.1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RESIDUAL_SCALE = 0.2
NEGATIVE_SLOPE = 0.2


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps height and width (zero padding)."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


def leaky_relu(x: Tensor) -> Tensor:
    """The network's only non-linearity."""
    return F.leaky_relu(x, NEGATIVE_SLOPE)


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each reading the block's input and all that came before it.

    Shape: (N, features, H, W) -> the same.
    """

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * 4 + [features]
        self.convs = nn.ModuleList(conv3x3(features + i * growth, channels) for i, channels in enumerate(outputs))

    def forward(self, x: Tensor) -> Tensor:
        *growing, closing = self.convs
        grown = x
        for conv in growing:
            grown = torch.cat((grown, leaky_relu(conv(grown))), dim=1)
        return x + RESIDUAL_SCALE * closing(grown)


class RRDB(nn.Module):
    """Three dense blocks inside one more scaled residual. Shape: (N, features, H, W) -> the same."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.dense:
            y = block(y)
        return x + RESIDUAL_SCALE * y


class Trunk(nn.Module):
    """A chain of RRDB closed by one convolution, around a skip. Shape: (N, features, H, W) -> the same."""

    def __init__(self, features: int, growth: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RRDB(features, growth) for _ in range(blocks))
        self.fuse = conv3x3(features, features)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.blocks:
            y = block(y)
        return x + self.fuse(y)


class Generator(nn.Module):
    """The x16 generator: a trunk at x1, upsampling by four, a trunk at x4, upsampling by four.

    With the default sizes it is the factsheet's network: 33,392,451 parameters, about 0.30 G
    multiply-adds per pixel of the input, 87 % of them in the second trunk.

    Args:
        features: Widths of the first trunk (at x1), the second trunk (at x4) and the last layers
            (at x8 and x16). One number sets all three.
        growth: Channels that each inner convolution of a dense block adds, in the first and the
            second trunk. One number sets both.
        blocks: Number of RRDB in the first and the second trunk.

    Raises:
        ValueError: If a size is not positive (blocks may be 0).
    """

    def __init__(
        self,
        features: int | tuple[int, int, int] = 64,
        growth: int | tuple[int, int] = 32,
        blocks: tuple[int, int] = (23, 23),
    ) -> None:
        super().__init__()
        self.features = (features, features, features) if isinstance(features, int) else features
        self.growth = (growth, growth) if isinstance(growth, int) else growth
        self.blocks = blocks
        if min(*self.features, *self.growth) < 1 or min(blocks) < 0:
            raise ValueError(f"sizes must be positive: features {features}, growth {growth}, blocks {blocks}")
        low, high, last = self.features
        self.stem = conv3x3(3, low)
        self.first = Trunk(low, self.growth[0], blocks[0])
        self.up1 = conv3x3(low, high)
        self.up2 = conv3x3(high, high)
        self.bridge = conv3x3(high, high)
        self.second = Trunk(high, self.growth[1], blocks[1])
        self.up3 = conv3x3(high, last)
        self.up4 = conv3x3(last, last)
        self.refine = conv3x3(last, last)
        self.last = conv3x3(last, 3)
        initialize(self)

    def first_trunk(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> features (N, f1, H, W)."""
        return self.first(self.stem(lr))

    def upsample(self, features: Tensor) -> Tensor:
        """First-trunk features (N, f1, H, W) -> second-trunk input (N, f2, 4H, 4W)."""
        x = leaky_relu(self.up1(double(features)))
        x = leaky_relu(self.up2(double(x)))
        return self.bridge(x)

    def second_trunk(self, features: Tensor) -> Tensor:
        """Second-trunk input (N, f2, h, w) -> picture (N, 3, 4h, 4w)."""
        x = self.second(features)
        x = leaky_relu(self.up3(double(x)))
        x = leaky_relu(self.up4(double(x)))
        x = leaky_relu(self.refine(x))
        return self.last(x)

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, 3, 16H, 16W) RGB, near [0, 1] but not clamped."""
        return self.second_trunk(self.upsample(self.first_trunk(lr)))


def double(x: Tensor) -> Tensor:
    """Twice the height and width, each pixel repeated. (N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def initialize(network: nn.Module, scale: float = 0.1) -> None:
    """Initialise as ESRGAN does: scaled-down Kaiming-normal weights and zero biases inside the dense blocks.

    The convolutions on the main path keep PyTorch's initialisation: ten of them in a row, each scaled by
    0.1, would let nothing of the input through, and training would spend hundreds of steps undoing that.

    Source: ESRGAN, section 3.1 ("smaller initialization"); the factor 0.1 is that of its published code.
    """
    for block in network.modules():
        if not isinstance(block, DenseBlock):
            continue
        for conv in block.convs:
            # A network on the meta device waits for loaded weights; filling it there costs seconds for nothing.
            if isinstance(conv, nn.Conv2d) and not conv.weight.is_meta:
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.data.mul_(scale)
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
