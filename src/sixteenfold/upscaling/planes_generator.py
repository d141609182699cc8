"""The generator on planes: fp32 on a CPU, by Winograd convolutions."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from sixteenfold.kernels import PATCH
from sixteenfold.kernels.assembly import Machine
from sixteenfold.kernels.planes import Convolver, Layer, Planes, make_layer
from sixteenfold.kernels.winograd import DOUBLING, Variant
from sixteenfold.networks.generator import NEGATIVE_SLOPE, RESIDUAL_SCALE, RRDB, DenseBlock, Generator, Trunk

STRIP = 64
"""Rows of the result that the last layers make at a time; a multiple of PATCH."""

PLAIN = Variant()
ACTIVATED = Variant(slope=NEGATIVE_SLOPE)
DOUBLED = Variant(points=DOUBLING, slope=NEGATIVE_SLOPE)
# A dense block is x + s conv(...). RRDB is r + s (three of them), so its last is r + s x + s s conv(...).
# The s before conv is in its weights.
ADDED = Variant(added=(1.0,))
CLOSING = Variant(added=(RESIDUAL_SCALE, 1.0))


class PlanesTrunk:
    """A trunk's layers.

    Args:
        trunk: Whose weights are taken.
        features: Its width.
        growth: Channels that each inner convolution of a dense block adds.
        convolver: What runs the layers.
    """

    def __init__(self, trunk: Trunk, features: int, growth: int, convolver: Convolver) -> None:
        self._features, self._growth, self._run = features, growth, convolver
        self._lanes = convolver.machine.lanes
        # A ModuleList does not tell the types of what it holds.
        rrdbs = cast(Iterable[RRDB], trunk.blocks)
        blocks = [cast(Sequence[DenseBlock], rrdb.dense) for rrdb in rrdbs]
        self._blocks = [self._dense(block, closes=j == 2) for dense in blocks for j, block in enumerate(dense)]
        self._fuse = make_layer(trunk.fuse, [features], self._lanes, ADDED)

    def _dense(self, block: DenseBlock, closes: bool) -> list[Layer]:
        sources = [[self._features] + [self._growth] * i for i in range(5)]
        *growing, last = cast(Iterable[nn.Conv2d], block.convs)
        layers = [make_layer(c, s, self._lanes, ACTIVATED) for c, s in zip(growing, sources[:4], strict=True)]
        variant, scale = (CLOSING, RESIDUAL_SCALE**2) if closes else (ADDED, RESIDUAL_SCALE)
        return [*layers, make_layer(last, sources[4], self._lanes, variant, scale)]

    def __call__(self, x: Planes) -> Planes:
        """Run on a picture of the trunk's width; gives another of the same size."""
        free = [Planes(self._features, x.height, x.width, self._lanes) for _ in range(3)]
        grown = [Planes(self._growth, x.height, x.width, self._lanes) for _ in range(4)]
        outer = y = x
        for i, (*growing, last) in enumerate(self._blocks):
            for k, layer in enumerate(growing):
                self._run(layer, [y, *grown[:k]], grown[k])
            target = next(planes for planes in free if planes is not outer and planes is not y)
            if i % 3 == 2:
                outer = y = self._run(last, [y, *grown], target, [y, outer])
            else:
                y = self._run(last, [y, *grown], target, [y])
        target = next(planes for planes in free if planes is not y)
        return self._run(self._fuse, [y], target, [x])


class PlanesGenerator:
    """A generator's three parts, as those of `Generator`, for float32 tensors on a CPU.

    Args:
        generator: Whose weights are taken, once.
        machine: The CPU.
    """

    def __init__(self, generator: Generator, machine: Machine) -> None:
        self._features = low, high, last = generator.features
        self._lanes = lanes = machine.lanes
        self._run = run = Convolver(machine)
        self._stem = make_layer(generator.stem, [3], lanes, PLAIN)
        self._first = PlanesTrunk(generator.first, low, generator.growth[0], run)
        self._up1 = make_layer(generator.up1, [low], lanes, DOUBLED)
        self._up2 = make_layer(generator.up2, [high], lanes, DOUBLED)
        self._bridge = make_layer(generator.bridge, [high], lanes, PLAIN)
        self._second = PlanesTrunk(generator.second, high, generator.growth[1], run)
        self._up3 = make_layer(generator.up3, [high], lanes, DOUBLED)
        self._up4 = make_layer(generator.up4, [last], lanes, DOUBLED)
        self._refine = make_layer(generator.refine, [last], lanes, ACTIVATED)
        self._last = make_layer(generator.last, [last], lanes, PLAIN)

    def first_trunk(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> features (N, f1, H, W)."""
        return torch.cat([self._first(self._same(self._stem, self._planes(x))).picture(self._features[0]) for x in lr])

    def upsample(self, features: Tensor) -> Tensor:
        """First-trunk features (N, f1, H, W) -> second-trunk input (N, f2, 4H, 4W)."""
        pictures: list[Tensor] = []
        for x in features:
            y = self._double(self._up2, self._double(self._up1, self._planes(x)))
            pictures.append(self._same(self._bridge, y).picture(self._features[1]))
        return torch.cat(pictures)

    def second_trunk(self, features: Tensor) -> Tensor:
        """Second-trunk input (N, f2, h, w) -> picture (N, 3, 4h, 4w), not clamped."""
        return torch.cat([self._finish(self._double(self._up3, self._second(self._planes(x)))) for x in features])

    def _finish(self, x: Planes) -> Tensor:
        """The layers at full size, in strips: new memory for whole pictures takes longer than the layers themselves.

        (1, 3, 2H, 2W) of a picture as up3 gives it.
        """
        height, width = 2 * x.height, 2 * x.width
        picture = torch.empty(1, 3, height, width, dtype=torch.float32, device="cpu")
        for first in range(0, height, STRIP):
            end = min(first + STRIP, height)
            # A wrong row at the edge of a strip spoils one more with each of the two layers that follow.
            top, bottom = max(0, first - PATCH), min(height, end + PATCH)
            y = self._strip("doubled", self._up4, x.rows(top // 2, (bottom - top) // 2), 2)
            y = self._strip("refined", self._refine, y)
            y = self._strip("last", self._last, y.rows(first - top, end - first))
            y.copy_to(picture[0, :, first:end])
        return picture

    def _strip(self, purpose: str, layer: Layer, x: Planes, scale: int = 1) -> Planes:
        """In memory that the next strip uses again."""
        return self._run(layer, [x], self._run.planes(purpose, layer.out_channels, scale * x.height, scale * x.width))

    def _planes(self, x: Tensor) -> Planes:
        channels, height, width = x.shape
        return Planes(channels, height, width, self._lanes).fill(x)

    def _same(self, layer: Layer, x: Planes) -> Planes:
        return self._run(layer, [x], Planes(layer.out_channels, x.height, x.width, self._lanes))

    def _double(self, layer: Layer, x: Planes) -> Planes:
        return self._run(layer, [x], Planes(layer.out_channels, 2 * x.height, 2 * x.width, self._lanes))
