"""Pictures as planes, and convolutions that run on them.

Nothing is concatenated: a convolution reads a list of pictures and writes another one. What follows a
convolution (activation, residual sums) happens where its result is written.
"""

import copy
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixteenfold.kernels import PATCH
from sixteenfold.kernels.assembly import Compiled, Machine
from sixteenfold.kernels.winograd import BLOCK, Points, Variant, convolution, expansion, scratch_floats

# Type and device are said: the machine code reads float32 on the CPU, whatever PyTorch's defaults were changed to.
_new_memory = partial(torch.empty, dtype=torch.float32, device="cpu")


class Planes:
    """A picture as planes of as many channels as a vector holds, with its border of zeros.

    Args:
        channels: How many; rounded up to whole planes.
        height: Rows, without the border.
        width: Columns.
        lanes: Channels a plane.
        memory: Where they lie: gives at least so many floats. New memory by default.
    """

    def __init__(
        self, channels: int, height: int, width: int, lanes: int, memory: Callable[[int], Tensor] = _new_memory
    ) -> None:
        self.height, self.width = height, width
        rows, columns = (PATCH * -(-n // PATCH) + 2 for n in (height, width))
        shape = (-(-channels // lanes), rows, columns, lanes)
        self.data = memory(math.prod(shape))[: math.prod(shape)].view(shape)
        self.data[:, 0], self.data[:, :, 0] = 0, 0
        self.clear_border()
        self.row_floats = self.data.stride(1)
        size = self.data.stride(0) * self.data.element_size()
        self.addresses = [self.data.data_ptr() + i * size for i in range(self.data.shape[0])]

    def clear_border(self) -> None:
        """Set to zero what lies below and to the right of the picture."""
        self.data[:, self.height + 1 :], self.data[:, :, self.width + 1 :] = 0, 0

    def rows(self, first: int, count: int) -> "Planes":
        """A strip of the picture, in the same memory and to be read only: its border is the rows around it.

        What reads it makes whole patches: the strip made of it must be a multiple of PATCH high.
        """
        strip = copy.copy(self)
        strip.height = count
        strip.data = self.data[:, first : first + count + 2]
        strip.addresses = [address + first * self.row_floats * 4 for address in self.addresses]
        return strip

    def fill(self, picture: Tensor, around: int = 0) -> "Planes":
        """Copy in a picture (C, H, W); channels that it lacks become zero. Gives itself.

        around: Rows above and below that it has too, 0 or 1, as a strip of a larger picture: (C, H + 2 around, W).
        """
        lanes = self.data.shape[3]
        for i, plane in enumerate(self.data[:, 1 - around : self.height + 1 + around, 1 : self.width + 1]):
            part = picture[i * lanes : (i + 1) * lanes].permute(1, 2, 0)
            plane[..., : part.shape[2]] = part
            plane[..., part.shape[2] :] = 0
        return self

    def copy_to(self, picture: Tensor) -> None:
        """Copy out the first channels, as many as `picture` (C, H, W) has."""
        inner = self.data[:, 1 : self.height + 1, 1 : self.width + 1]
        lanes = self.data.shape[3]
        for i, part in enumerate(torch.split(picture, lanes)):
            part.copy_(inner[i, ..., : part.shape[0]].permute(2, 0, 1))

    def picture(self, channels: int) -> Tensor:
        """The first channels, copied out: (1, C, H, W)."""
        picture = _new_memory(1, channels, self.height, self.width)
        self.copy_to(picture[0])
        return picture


@dataclass(frozen=True)
class Layer:
    """One convolution, ready to run."""

    variant: Variant
    weight: Tensor
    """(9, out / width, in, width), where width is what the variant's matrix product makes at once."""
    bias: Tensor
    in_channels: int
    out_channels: int


def make_layer(conv: nn.Conv2d, sources: Sequence[int], lanes: int, variant: Variant, scale: float = 1.0) -> Layer:
    """Lay out the weights of a convolution.

    Args:
        conv: A 3x3 convolution with bias.
        sources: Channels of the pictures that it reads, in order; each begins a new plane.
        lanes: Channels a plane; all counts are rounded up to it, with weights of zero.
        variant: What to do around the convolution.
        scale: A factor of the result.
    """
    assert conv.bias is not None
    # NumPy, because PyTorch's threads would take longer to start than these small copies do.
    bias, weight = (t.detach().float().cpu().numpy() * np.float32(scale) for t in (conv.bias, conv.weight))
    ends = [sum(sources[: i + 1]) for i in range(len(sources))]
    parts = [round_up(part, 1, lanes) for part in np.split(weight, ends[:-1], axis=1)]
    weight = round_up(np.concatenate(parts, axis=1), 0, lanes)
    outs, ins = weight.shape[:2]
    vectors = 2 if outs % (2 * lanes) == 0 else 1
    blocks = weight.reshape(-1, vectors * lanes, ins, 9).transpose(3, 0, 2, 1)
    return Layer(
        replace(variant, vectors=vectors),
        torch.from_numpy(np.ascontiguousarray(blocks)),
        torch.from_numpy(round_up(bias, 0, lanes)),
        ins,
        outs,
    )


def round_up(x: NDArray[np.float32], axis: int, multiple: int) -> NDArray[np.float32]:
    """Lengthen an axis to the next multiple, with zeros."""
    missing = [(0, 0)] * x.ndim
    missing[axis] = (0, -x.shape[axis] % multiple)
    return np.pad(x, missing)


class Convolver:
    """Runs layers, on as many threads as PyTorch uses when it is made.

    Args:
        machine: The CPU.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._threads = torch.get_num_threads()
        self._kept = threading.local()

    def __call__(self, layer: Layer, sources: Sequence[Planes], target: Planes, added: Sequence[Planes] = ()) -> Planes:
        """Convolve the sources' planes, all of them in order, into the target. Gives the target.

        Args:
            layer: The convolution.
            sources: What it reads, of the target's size, or half of it for a doubling layer.
            target: What it writes; none of the sources.
            added: What its variant adds, of the target's size; may be among the sources.
        """
        self._run(layer, self._expanded(layer), sources, target, added)
        return target

    def each(self, layer: Layer, pictures: Iterable[Planes]) -> Iterator[Planes]:
        """Convolve several pictures, one after the other, with weights that are expanded once.

        What is given is overwritten when the next is asked for.
        """
        weights = self._expanded(layer)
        for source in pictures:
            target = self.planes("target", layer.out_channels, source.height, source.width)
            self._run(layer, weights, [source], target, ())
            yield target

    def planes(self, purpose: str, channels: int, height: int, width: int) -> Planes:
        """Planes in memory that is used again at the next call by the same thread for the same purpose."""
        return Planes(channels, height, width, self.machine.lanes, partial(self._memory, purpose))

    def _run(
        self, layer: Layer, weights: Tensor, sources: Sequence[Planes], target: Planes, added: Sequence[Planes]
    ) -> None:
        function = convolution_code(self.machine, layer.variant)
        tables = [address_table(sources), address_table([target]), *(address_table([x]) for x in added)]
        down, across = (-(-n // PATCH) for n in (target.height, target.width))
        arguments = [
            tables[0].data_ptr(),
            sources[0].row_floats,
            layer.in_channels,
            tables[1].data_ptr(),
            target.row_floats,
            layer.out_channels,
            weights.data_ptr(),
            layer.bias.data_ptr(),
            across,
            *[*(table.data_ptr() for table in tables[2:]), 0, 0][:2],
        ]
        step = min(BLOCK, -(-down * across // self._threads))
        starts = iter(range(0, down * across, step))
        busy: set[int] = set()

        def work(_held: object = (tables, weights, layer, sources, target, added)) -> None:
            # The machine code knows addresses alone: what lies there lives as long as this function.
            busy.add(threading.get_ident())
            try:
                scratch = self._memory("scratch", scratch_floats(layer.in_channels, layer.out_channels))
                for first in starts:  # one iterator for all: whoever is done takes the next piece
                    function([*arguments, scratch.data_ptr(), first, min(first + step, down * across)])
            finally:
                busy.discard(threading.get_ident())

        if self._threads == 1:
            work()
        else:
            pool = thread_pool(self._threads, os.getpid())
            try:
                for task in [pool.submit(work) for _ in range(self._threads)]:
                    task.result()
            finally:
                _end(starts, busy)  # also when interrupted: what they write to is used again
        target.clear_border()

    def _expanded(self, layer: Layer) -> Tensor:
        points = layer.variant.points
        size = layer.in_channels * layer.out_channels
        weights = self._memory("weights", len(points.used) ** 2 * size)
        expansion_code(self.machine, points)([layer.weight.data_ptr(), weights.data_ptr(), size])
        return weights

    def _memory(self, purpose: str, floats: int) -> Tensor:
        """Memory of the running thread's own, at the largest size asked for; kept from layer to layer while the
        convolver lives, as new pages cost time."""
        memory: Tensor | None = getattr(self._kept, purpose, None)
        if memory is None or memory.numel() < floats:
            memory = torch.zeros(floats, dtype=torch.float32, device="cpu")
            setattr(self._kept, purpose, memory)
        return memory


def address_table(group: Sequence[Planes]) -> Tensor:
    """The addresses of all planes of all pictures."""
    return torch.tensor([address for planes in group for address in planes.addresses], device="cpu")


def _end(starts: Iterator[int], busy: set[int]) -> None:
    """Take all work that has not begun, and wait for what has, whoever interrupts; who begins later finds none."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            for _ in starts:
                pass
            while busy:
                time.sleep(1e-4)
            break
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


@cache
def thread_pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of all convolvers in a process: a forked one has none of its parent's and would wait for ever."""
    return ThreadPoolExecutor(threads, thread_name_prefix="winograd")


@cache
def convolution_code(machine: Machine, variant: Variant) -> Compiled:
    """Machine code of a convolution, made once in a process."""
    return Compiled(convolution(machine, variant))


@cache
def expansion_code(machine: Machine, points: Points) -> Compiled:
    """Machine code of the weights' expansion, made once in a process."""
    return Compiled(expansion(machine, points))
