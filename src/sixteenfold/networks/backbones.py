"""The convolution stacks of AlexNet and VGG16, as LPIPS, DISTS and perceptual losses read them.

Sources: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014
(torchvision's AlexNet); Simonyan and Zisserman, ICLR 2015, configuration D (VGG16). Weights are
put in from outside: see `sixteenfold.metrics.weights`.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sixteenfold.kernels import PATCH, winograd_machine

if TYPE_CHECKING:
    from sixteenfold.kernels.strips import StripConvolver


PATCHES = 96
"""Patches of the compiled convolution that are worth a call."""


class Backbone(nn.Module):
    """A chain of stages; what each stage ends with is a feature map.

    forward: (N, 3, H, W) normalised RGB -> one (N, C, h, w) a stage, after its last ReLU.
    """

    channels: tuple[int, ...]
    smallest: int
    """The least height and width that leaves every feature map at least one pixel."""

    def __init__(self, stages: Iterable[nn.Sequential]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def convolutions(self) -> list[nn.Conv2d]:
        """All convolutions, in the order of computation."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def fill(self, weights: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take (weight, bias) of every convolution, in the order of computation; ValueError if a shape is another."""
        for convolution, (weight, bias) in zip(self.convolutions(), weights, strict=True):
            shapes, wanted = (weight.shape, bias.shape), (convolution.weight.shape, (convolution.out_channels,))
            if shapes != wanted:
                raise ValueError(f"a convolution of {shapes}, not {wanted}")
            # An eighth faster on a CPU: no copies into the convolutions' own order.
            laid_out = weight.contiguous(memory_format=torch.channels_last)
            convolution.weight, convolution.bias = nn.Parameter(laid_out), nn.Parameter(bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def streams(self) -> list["StageStream"]:
        """Each stage as a stream fed with rows: memory for all maps grows only with the width.

        Without gradients. On a CPU in float32 the 3x3 convolutions are the compiled ones (docs/engine.md).
        """
        first = self.convolutions()[0].weight
        machine = winograd_machine() if first.device.type == "cpu" and first.dtype == torch.float32 else None
        run = None
        if machine is not None:
            from sixteenfold.kernels.strips import StripConvolver

            # Made anew each time, and the weights laid out anew. Each thread's memory could be neither copied nor
            # pickled with the backbone; of weights that were kept none could tell whether they still are the
            # backbone's: a change by `.data` leaves no trace.
            run = StripConvolver(machine)
        return [StageStream(self._streams(stage, run)) for stage in self.stages]

    def _streams(self, stage: nn.Module, run: "StripConvolver | None") -> list["_LayerStream"]:
        streams: list[_LayerStream] = []
        for layer in stage.children():
            if run is not None and isinstance(layer, nn.Conv2d) and _is_plain(layer):
                streams.append(_ConvStream(layer, run))
            elif not (isinstance(layer, nn.ReLU) and streams and isinstance(streams[-1], _ConvStream)):
                streams.append(_LayerStream(layer))
        return streams


class StageStream:
    """One stage fed from top to bottom.

    Every layer keeps the few input rows that its next outputs read again, so nothing is computed
    twice, and the rows that come out, put together, are the stage's whole feature map.
    """

    def __init__(self, layers: "Sequence[_LayerStream]") -> None:
        self._layers = layers

    def push(self, rows: Tensor | None, *, last: bool) -> Tensor | None:
        """Take the next input rows (None: none this time); give the rows of the map now known.

        `last` says that nothing follows.
        """
        for layer in self._layers:
            rows = layer.push(rows, last=last)
        return rows


class _LayerStream:
    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.kernel, self.stride, self.padding = _geometry(layer)
        self.held: Tensor | None = None

    def _worth(self, rows: Tensor) -> int:
        """The fewest rows of the result worth a call, when more input will come."""
        del rows
        return 1

    def push(self, rows: Tensor | None, *, last: bool) -> Tensor | None:
        if self.kernel == 1:
            return None if rows is None else self.layer(rows)
        if rows is not None:
            if self.held is None:
                rows = F.pad(rows, (0, 0, self.padding, 0))
            self.held = rows if self.held is None else torch.cat((self.held, rows), dim=2)
        if self.held is None:
            return None
        if last:
            self.held = F.pad(self.held, (0, 0, 0, self.padding))
        count = (self.held.shape[2] - self.kernel) // self.stride + 1
        if count < (1 if last else self._worth(self.held)):
            return None
        result = self._apply(self.held)
        # A copy, as a view would keep the large buffer alive.
        self.held = self.held[:, :, count * self.stride :].clone()
        return result

    def _apply(self, rows: Tensor) -> Tensor:
        """The layer with its zero padding to the left and right alone."""
        padding = (0, self.padding)
        if isinstance(self.layer, nn.Conv2d):
            return F.conv2d(rows, self.layer.weight, self.layer.bias, self.layer.stride, padding)
        if isinstance(self.layer, L2Pool):
            return self.layer.pool(rows, padding)
        return self.layer(rows)


class _ConvStream(_LayerStream):
    """A 3x3 convolution and the ReLU behind it, by the compiled code."""

    def __init__(self, conv: nn.Conv2d, run: "StripConvolver") -> None:
        super().__init__(conv)
        self._channels = conv.out_channels
        self._run, self._laid_out = run, run.layer(conv)

    def _worth(self, rows: Tensor) -> int:
        # Each call expands the weights, which takes as long as some dozen patches.
        return PATCH * -(-PATCHES // -(-rows.shape[3] // PATCH))

    def _apply(self, rows: Tensor) -> Tensor:
        return self._run(self._laid_out, self._channels, rows)


class L2Pool(nn.Module):
    """The root of a Hann-weighted 3x3 mean of squares, stride 2: pooling without aliasing.

    Source: Henaff and Simoncelli, "Geodesics of learned representations", ICLR 2016.
    """

    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float32, device="cpu")
        window = torch.outer(taps, taps).expand(channels, 1, 3, 3).clone()
        self.register_buffer("window", window, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2))."""
        return self.pool(x, (1, 1))

    def pool(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        """The same with (vertical, horizontal) zero padding to choose."""
        mean = F.conv2d(x.square(), self.window, stride=2, padding=padding, groups=x.shape[1])
        return (mean + 1e-12).sqrt()


def _geometry(layer: nn.Module) -> tuple[int, int, int]:
    """(kernel, stride, padding) along the height; a pointwise layer is (1, 1, 0)."""
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    if isinstance(layer, nn.MaxPool2d):
        assert isinstance(layer.kernel_size, int) and isinstance(layer.stride, int)
        return layer.kernel_size, layer.stride, 0
    if isinstance(layer, L2Pool):
        return 3, 2, 1
    return 1, 1, 0


def _is_plain(conv: nn.Conv2d) -> bool:
    """Whether the compiled code does this convolution, and does it faster than PyTorch."""
    return conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.padding == (1, 1) and conv.in_channels > 3


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(inplace=True)]


class AlexNet(Backbone):
    """Five stages at strides 4, 8, 16, 16, 16."""

    channels = (64, 192, 384, 256, 256)
    smallest = 31

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(*layers)
            for layers in (
                _conv(3, 64, kernel=11, stride=4, padding=2),
                [nn.MaxPool2d(3, 2), *_conv(64, 192, kernel=5, padding=2)],
                [nn.MaxPool2d(3, 2), *_conv(192, 384)],
                _conv(384, 256),
                _conv(256, 256),
            )
        )


class VGG16(Backbone):
    """Five stages at strides 1, 2, 4, 8, 16: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    `smooth_pooling` puts L2 pooling in the place of max pooling, as DISTS does; the convolutions
    and the whole first stage are the same.
    """

    channels = (64, 128, 256, 512, 512)
    smallest = 16

    def __init__(self, *, smooth_pooling: bool = False) -> None:
        def pool(channels: int) -> nn.Module:
            return L2Pool(channels) if smooth_pooling else nn.MaxPool2d(2, 2)

        super().__init__(
            nn.Sequential(*layers)
            for layers in (
                [*_conv(3, 64), *_conv(64, 64)],
                [pool(64), *_conv(64, 128), *_conv(128, 128)],
                [pool(128), *_conv(128, 256), *_conv(256, 256), *_conv(256, 256)],
                [pool(256), *_conv(256, 512), *_conv(512, 512), *_conv(512, 512)],
                [pool(512), *_conv(512, 512), *_conv(512, 512), *_conv(512, 512)],
            )
        )
