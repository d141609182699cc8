"""Rows made on request, block by block, and released when no longer needed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sixteenfold.upscaling.tiles import Span


class RowStream:
    """A tall picture (1, C, rows, W) of which only the blocks in use are held.

    Blocks lie on a fixed grid and each is made by one call, so a row's value does not depend on
    where the reading began: a run that goes on from the middle gives the same rows.

    Args:
        blocks: The grid: adjoining spans from row 0 on.
        make: Gives the rows of one block, (1, C, block.length * scale, W).
        scale: Rows of a block's tensor for each row of its span.
    """

    def __init__(self, blocks: Sequence[Span], make: Callable[[Span], Tensor], scale: int = 1) -> None:
        self._blocks = tuple(blocks)
        self._make = make
        self._scale = scale
        self._held: dict[Span, Tensor] = {}
        self._forgotten = 0

    def rows(self, wanted: Span) -> Tensor:
        """The rows of a span, as (1, C, wanted.length * scale, W): often a view, not to be written to.

        Raises:
            ValueError: If some of the rows have been forgotten.
        """
        if wanted.start < self._forgotten:
            raise ValueError(f"row {wanted.start} was forgotten; rows are held from {self._forgotten} on")
        parts: list[Tensor] = []
        for block in self._blocks:
            part = Span(max(block.start, wanted.start), min(block.stop, wanted.stop))
            if part.length > 0:
                if block not in self._held:
                    self._held[block] = self._make(block)
                held = self._held[block]
                # Counted from the end: the top of a block may have been forgotten already.
                first = held.shape[2] - (block.stop - part.start) * self._scale
                parts.append(held[:, :, first : first + part.length * self._scale])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def forget(self, before: int) -> None:
        """Release the rows above a row, and their memory."""
        self._forgotten = max(self._forgotten, before)
        for block in [block for block in self._held if block.start < self._forgotten]:
            rows = self._held.pop(block)
            rest = Span(self._forgotten, block.stop)
            if rest.length > 0:
                # A copy: a view would keep the memory of the whole block.
                self._held[block] = rows[:, :, -rest.length * self._scale :].clone()
