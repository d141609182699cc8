"""Where a picture is cut: integer arithmetic only, no pixels and no torch.

All places are counted in pixels of the small picture, half-open. The second trunk sees a *window*
around what is kept of it (the *inner* part); where the picture with its border ends the window ends too,
so the network meets there the same as in a run over the whole.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """Places start, start + 1, ..., stop - 1 along one direction."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many places it holds."""
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """The span as an index."""
        return slice(self.start, self.stop)

    def within(self, outer: "Span") -> "Span":
        """The same places counted from the start of another span."""
        return Span(self.start - outer.start, self.stop - outer.start)

    def times(self, factor: int) -> "Span":
        """The same places on a grid that is `factor` times as fine."""
        return Span(self.start * factor, self.stop * factor)

    def moved(self, by: int) -> "Span":
        """The same places counted from `by` places before the first."""
        return Span(self.start + by, self.stop + by)

    def grown(self, by: int, limit: int) -> "Span":
        """Longer by `by` on each side, as far as [0, limit) goes."""
        return Span(max(0, self.start - by), min(limit, self.stop + by))


@dataclass(frozen=True)
class Tile:
    """One piece of work: what is kept (inner) and what the network sees for it (window)."""

    rows: Span
    columns: Span
    window_rows: Span
    window_columns: Span


@dataclass(frozen=True)
class Band:
    """One row of tiles, from the left edge of the picture to its right edge."""

    rows: Span
    tiles: tuple[Tile, ...]


def split(length: int, largest: int) -> tuple[Span, ...]:
    """Cut [0, length) into the fewest spans that are no longer than `largest`, as equal as can be.

    Raises:
        ValueError: If a length is not positive.
    """
    if length < 1 or largest < 1:
        raise ValueError(f"cannot cut a length of {length} into spans of {largest}")
    count = -(-length // largest)
    edges = [i * length // count for i in range(count + 1)]
    return tuple(Span(*edge) for edge in pairwise(edges))


def windows(spans: tuple[Span, ...], margin: int, limit: int) -> tuple[Span, ...]:
    """A window around each span of a cut, `margin` longer on each side inside [0, limit).

    All windows of a cut have one length, so that an engine that prepares itself for each shape
    does so once: at the edges they reach further inwards instead of outwards.

    Raises:
        ValueError: If the margin is negative.
    """
    if margin < 0:
        raise ValueError(f"a margin cannot be negative: {margin}")
    length = min(limit, max(span.length for span in spans) + 2 * margin)
    starts = (min(max(0, span.start - margin), limit - length) for span in spans)
    return tuple(Span(start, start + length) for start in starts)


def plan_tiles(height: int, width: int, tile: tuple[int, int], margin: int, border: int = 0) -> tuple[Band, ...]:
    """Cut a picture into bands of tiles that cover each pixel once.

    Places are counted on the picture with its border.

    Args:
        height: Rows of the small picture.
        width: Columns of the small picture.
        tile: Most (rows, columns) of a tile's inner part.
        margin: How much more a tile sees on each side, of the picture and its border.
        border: Pixels around the picture that tiles see, but do not keep.

    Raises:
        ValueError: If a size is not positive or the margin is negative.
    """
    rows, columns = (
        tuple(span.moved(border) for span in split(length, largest))
        for length, largest in zip((height, width), tile, strict=True)
    )
    across = tuple(zip(columns, windows(columns, margin, width + 2 * border), strict=True))
    return tuple(
        Band(inner, tuple(Tile(inner, column, window, wide) for column, wide in across))
        for inner, window in zip(rows, windows(rows, margin, height + 2 * border), strict=True)
    )


def smaller(tile: Tile, largest: int, margin: int, height: int, width: int) -> tuple[Tile, ...]:
    """Cut a tile of a height x width picture into tiles whose inner sides are at most `largest`."""
    return tuple(
        Tile(rows, columns, rows.grown(margin, height), columns.grown(margin, width))
        for rows in _cut(tile.rows, largest)
        for columns in _cut(tile.columns, largest)
    )


def _cut(span: Span, largest: int) -> tuple[Span, ...]:
    return tuple(part.moved(span.start) for part in split(span.length, largest))
