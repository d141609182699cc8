"""Run tiles through an engine, coping with too little memory and infinite values."""

import gc
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, is_out_of_memory
from sixteenfold.imaging.resample import SCALE
from sixteenfold.kernels.untraced import untraced
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.engine import Parts, make_engine
from sixteenfold.upscaling.ensemble import Ensemble
from sixteenfold.upscaling.rows import RowStream
from sixteenfold.upscaling.tiles import Tile, smaller

UPSAMPLE_REACH = 1
"""Pixels of the small picture that `upsample` looks beyond those that it enlarges."""
SMALLEST_TILE = 4
"""Inner side, in pixels of the small picture, under which less memory would not help."""

Say = Callable[[str], None]


class Runner:
    """Runs tiles through the first or the second half of a generator.

    A tile that comes out with infinities or not-a-number is done again in fp32; that is said once.

    Args:
        generator: The network.
        device: As for `make_engine`.
        precision: As for `make_engine`.
        ensemble: Average the eight flips and rotations.
        say: Called with one line when something had to be done differently.
    """

    def __init__(
        self, generator: Generator, device: str | torch.device, precision: str, ensemble: bool, say: Say
    ) -> None:
        engine = make_engine(generator, device, precision)
        self.description = engine.description
        self.device = engine.device
        self.generator = generator
        self._ensemble = ensemble
        self._precision = engine.precision
        self._say = say
        self._parts: Parts = Ensemble(engine) if ensemble else engine
        self._in_fp32: Parts | None = None

    @untraced
    def first(self, lr: Tensor, tile: Tile) -> Tensor:
        """Features of a tile's inner part, (1, F, rows, columns) on the CPU, from the picture (1, 3, H, W)."""
        window = lr[:, :, tile.window_rows.slice, tile.window_columns.slice].to(self.device)
        features = self._finite(lambda parts: parts.first_trunk(window))
        rows, columns = tile.rows.within(tile.window_rows), tile.columns.within(tile.window_columns)
        return features[:, :, rows.slice, columns.slice].cpu()

    @untraced
    def second(self, features: RowStream, size: tuple[int, int], tile: Tile) -> Tensor:
        """Picture of a tile's inner part, (1, 3, 16 rows, 16 columns) on the device, not clamped.

        Args:
            features: The first trunk's, (1, F, H, W).
            size: The small picture's (height, width).
            tile: What to make; the second trunk sees exactly its window.
        """
        seen_rows = tile.window_rows.grown(UPSAMPLE_REACH, size[0])
        seen_columns = tile.window_columns.grown(UPSAMPLE_REACH, size[1])
        seen = features.rows(seen_rows)[..., seen_columns.slice].to(self.device)
        top, left = tile.window_rows.within(seen_rows).times(4), tile.window_columns.within(seen_columns).times(4)
        sr = self._finite(lambda parts: parts.second_trunk(parts.upsample(seen)[..., top.slice, left.slice]))
        rows, columns = tile.rows.within(tile.window_rows), tile.columns.within(tile.window_columns)
        return sr[..., rows.times(SCALE).slice, columns.times(SCALE).slice]

    def _finite(self, work: Callable[[Parts], Tensor]) -> Tensor:
        result = work(self._parts)
        if _is_finite(result):
            return result
        if self._precision != "fp32":
            if self._in_fp32 is None:
                self._say(f"a tile overflowed in {self._precision}: such tiles are computed again in fp32")
                engine = make_engine(self.generator, self.device, "fp32")
                self._in_fp32 = Ensemble(engine) if self._ensemble else engine
            result = work(self._in_fp32)
            if _is_finite(result):
                return result
        raise SixteenfoldError("the model gives infinite values even in fp32: its weights are damaged; use another")


class Fitting:
    """Makes tiles smaller when memory runs out, continues, and reports each size once.

    Args:
        margin: How much more of the picture a tile sees on each side.
        say: Called with one line when tiles become smaller.
    """

    def __init__(self, margin: int, say: Say) -> None:
        self._margin = margin
        self._say = say
        self._largest = math.inf

    def run(self, tile: Tile, size: tuple[int, int], work: Callable[[Tile], Tensor]) -> Iterator[tuple[Tile, Tensor]]:
        """Give the tile's result, whole or in pieces.

        Raises:
            SixteenfoldError: If memory does not suffice for the smallest tile.
        """
        pending = [tile]
        while pending:
            piece = pending.pop()
            side = max(piece.rows.length, piece.columns.length)
            if side > self._largest:
                pending.extend(smaller(piece, int(self._largest), self._margin, *size))
                continue
            result = _attempt(work, piece)
            if result is not None:
                yield piece, result
                continue
            if side <= SMALLEST_TILE:
                raise SixteenfoldError("out of memory even with the smallest tiles: free some, or use another device")
            self._largest = max(SMALLEST_TILE, side // 2)
            self._say(f"out of memory: continuing with tiles of {self._largest} pixels")
            pending.append(piece)


def _attempt(work: Callable[[Tile], Tensor], tile: Tile) -> Tensor | None:
    """The tile's result, or None if memory ran out, after freeing what the attempt held."""
    try:
        return work(tile)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _is_finite(image: Tensor) -> bool:
    # An infinity or a not-a-number survives adding, so a finite sum needs no mask of the picture's size. The other way
    # round a sum of huge numbers can overflow, and in float64 no Apple GPU adds.
    return bool(image.sum().isfinite()) or bool(image.isfinite().all())
