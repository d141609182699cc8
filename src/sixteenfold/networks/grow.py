"""Grow a trained generator: a larger one that computes the same, from which its training starts.

Source: Chen, Goodfellow, Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016. Ours differs
in that the old channels keep their weights and do not hear the new ones at first, rather than being doubled: the new
ones start at random, so that no two learn the same.
"""

import torch
from torch import Tensor, nn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.generator import RESIDUAL_SCALE, RRDB, DenseBlock, Generator, Trunk
from sixteenfold.networks.state import GeneratorShape, shape_of

__all__ = ["fits_into", "grow", "implant"]


def fits_into(small: GeneratorShape, large: GeneratorShape) -> bool:
    """Whether no size of the first exceeds the second's. The growth of a trunk without blocks does not count."""

    def sizes(shape: GeneratorShape) -> tuple[int, ...]:
        growth = (size if blocks else 0 for size, blocks in zip(shape.growth, shape.blocks, strict=True))
        return (*shape.features, *growth, *shape.blocks)

    return all(one <= other for one, other in zip(sizes(small), sizes(large), strict=True))


def grow(small: Generator, shape: GeneratorShape) -> Generator:
    """A generator of a larger shape with the same output for every picture, to rounding; the small one is unchanged.

    The new channels and blocks start as those of a new network do, by PyTorch's random state, but what reads them for
    the old channels starts at zero, and a new block passes the old channels on as they are. The first steps of training
    open these ways; after three of them everything learns.

    Args:
        small: Any weights.
        shape: No size of it smaller than the small one's.

    Raises:
        SixteenfoldError: If a size is smaller.
    """
    if not fits_into(shape_of(small), shape):
        raise SixteenfoldError(f"a generator of {shape_of(small)} cannot grow to {shape}: no size may shrink")
    large = shape.build().to(small.stem.weight)  # in its type, on its device, whatever PyTorch's defaults
    implant(small, large)
    return large


def implant(small: Generator, large: Generator) -> None:
    """Make the larger generator compute what the smaller one does, to rounding, and change nothing else of it.

    Its first channels and blocks become the small one's. Its other channels keep their weights, but go unheard by the
    first ones, as in `grow`; its other blocks pass the first ones on.

    Args:
        small: Its sizes must fit into the large one's (`fits_into`).
        large: Changed in place.
    """
    with torch.no_grad():
        _conv(large.stem, small.stem)
        _trunk(large.first, small.first)
        for name in ("up1", "up2", "bridge"):
            _conv(large.get_submodule(name), small.get_submodule(name))
        _trunk(large.second, small.second)
        for name in ("up3", "up4", "refine", "last"):
            _conv(large.get_submodule(name), small.get_submodule(name))


def _conv(large: nn.Module, small: nn.Module, columns: Tensor | None = None) -> None:
    """The old outputs as they were, from the old inputs alone.

    Args:
        large: Its weights for new outputs stay.
        small: Its weights are copied.
        columns: Which inputs of the large one are the old ones, in their order; None takes the first.
    """
    assert isinstance(large, nn.Conv2d) and isinstance(small, nn.Conv2d)
    assert large.bias is not None and small.bias is not None
    rows = small.out_channels
    if columns is None:
        columns = torch.arange(small.in_channels, device="cpu")
    large.weight[:rows] = 0
    large.weight[:rows, columns] = small.weight
    large.bias[:rows] = small.bias


def _trunk(large: Trunk, small: Trunk) -> None:
    old = len(small.blocks)
    for grown, block in zip(large.blocks, small.blocks, strict=False):
        _block(grown, block)
    for added in list(large.blocks)[old:]:
        _pass_on(added, small.fuse.out_channels)
    _conv(large.fuse, small.fuse)


def _block(large: nn.Module, small: nn.Module) -> None:
    assert isinstance(large, RRDB) and isinstance(small, RRDB)
    for grown, dense in zip(large.dense, small.dense, strict=True):
        assert isinstance(grown, DenseBlock) and isinstance(dense, DenseBlock)
        # A convolution reads the block's input, and after it what each convolution before it added.
        columns, read = torch.arange(0, device="cpu"), 0
        for wide, narrow in zip(grown.convs, dense.convs, strict=True):
            assert isinstance(wide, nn.Conv2d) and isinstance(narrow, nn.Conv2d)
            latest = torch.arange(read, read + narrow.in_channels - len(columns), device="cpu")
            columns, read = torch.cat((columns, latest)), wide.in_channels
            _conv(wide, narrow, columns)


def _pass_on(block: nn.Module, channels: int) -> None:
    """Make the block's output equal its input in the first channels.

    A block's two last residuals give x + s (x + s c), c being the last convolution's output: with c = -x / s it is x.
    """
    assert isinstance(block, RRDB)
    closings = [module.get_submodule("convs.4") for module in block.dense]
    for closing in closings:
        closing.get_parameter("weight")[:channels] = 0
        closing.get_parameter("bias")[:channels] = 0
    first = torch.arange(channels, device="cpu")
    closings[-1].get_parameter("weight")[first, first, 1, 1] = -1 / RESIDUAL_SCALE
