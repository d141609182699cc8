"""One picture's way through the network and the projection, as streams of rows."""

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from sixteenfold.errors import out_of_memory_told
from sixteenfold.imaging.resample import SCALE, downscale, extended, resize
from sixteenfold.upscaling.consistency import KERNEL_REACH, correction, reach
from sixteenfold.upscaling.flat import keep_flat
from sixteenfold.upscaling.reduction import reduce, reduced_bands, source_rows
from sixteenfold.upscaling.rows import RowStream
from sixteenfold.upscaling.runner import UPSAMPLE_REACH, Fitting, Runner, Say
from sixteenfold.upscaling.tiles import Band, Span, Tile, plan_tiles

BORDER = 2
"""Pixels at x1 that the network sees around a picture, mirrored. Beyond them it sees zeros, which it takes for
something dark: without a border, corners of a white picture come out grey (docs/tiling.md)."""
SECOND_MARGIN = 4
"""How much more the second trunk sees around a tile, in pixels at x1 (16 at x4, where it works): chosen by
benchmarks/seams.py."""
FIRST_MARGIN = 16
"""How much more the first trunk sees around a tile, in pixels at x1: chosen by benchmarks/seams.py."""
FIRST_TILE = 384
"""Side of the first trunk's tiles, in pixels at x1; a picture of no more pixels than that is one tile."""
BAND_BYTES = 192 * 2**20
"""Most memory for the result of one row of tiles: tiles of a wide picture are lower and wider."""
LOWEST_BAND = 8
"""Fewest rows of a row of tiles, in pixels at x1: below, the margin would be nearly all of the work."""
CHUNK = 16
"""Rows of the small picture that are given out at a time."""


def fittings(say: Say) -> tuple[Fitting, Fitting]:
    """How tiles of the first and the second trunk are fitted to memory, by the margins that they were planned with."""
    return Fitting(FIRST_MARGIN, say), Fitting(SECOND_MARGIN, say)


def grid() -> tuple[int, ...]:
    """All that decides, beside the picture and the wanted tile, where tiles lie: results differ with it in rounding."""
    return BORDER, SECOND_MARGIN, FIRST_MARGIN, FIRST_TILE, BAND_BYTES, LOWEST_BAND, CHUNK


def chunks(height: int) -> tuple[Span, ...]:
    """The rows of the small picture whose results are made together."""
    return tuple(Span(top, min(top + CHUNK, height)) for top in range(0, height, CHUNK))


def bands(height: int, new_height: int) -> tuple[Span, ...]:
    """The rows of the result that are given out together; new_height is 16 height, or less to reduce it."""
    return reduced_bands(SCALE * height, new_height, SCALE * CHUNK)


class Enlargement:
    """Makes the rows of one enlarged picture from top to bottom, holding only those in use.

    Features come from the picture, raw rows from features, residuals from raw rows, and finished
    rows from raw rows and the residuals around them. Each is made on a grid that the picture alone
    decides, so that a run that begins in the middle gives the same rows.

    Args:
        lr: (1, 3 or 1, H, W) in [0, 1].
        runner: Runs the network.
        tile: Side of the second trunk's tiles, in pixels of the small picture.
        rounds: Rounds of back-projection.
        fittings: As `fittings` gives; they remember what fitted.
    """

    def __init__(self, lr: Tensor, runner: Runner, tile: int, rounds: int, fittings: tuple[Fitting, Fitting]) -> None:
        self._lr = lr
        self._runner = runner
        self._rounds = rounds
        self._fittings = fittings
        self._size = height, width = lr.shape[-2], lr.shape[-1]
        # Features are made of all that is seen, the rows that follow from them of the picture alone.
        self._seen = extended(extended(lr, -2, BORDER), -1, BORDER)
        self._seen_size = height + 2 * BORDER, width + 2 * BORDER
        first = max(self._seen_size) if height * width <= FIRST_TILE**2 else FIRST_TILE
        strips = plan_tiles(*self._seen_size, (first, first), FIRST_MARGIN)
        tiled = plan_tiles(height, width, _tile_shape(tile, width, lr.shape[1]), SECOND_MARGIN, BORDER)
        self._strips = {strip.rows: strip for strip in strips}
        self._bands = {band.rows.moved(-BORDER): band for band in tiled}

    def bands(self, size: tuple[int, int], skip: int) -> Iterator[Tensor]:
        """The rows of the result, (1, 3 or 1, rows, width) in [0, 1], span after span as `bands` says.

        size: The result's (height, width): sixteen times the picture's, or less to reduce it.
        skip: How many spans to leave out.

        Raises SixteenfoldError if memory does not suffice.
        """
        # Not attributes: streams hold this object's methods and so the object itself. If it held them too, rows and
        # network would outlive the result until Python next looks for such circles.
        features = RowStream(tuple(self._strips), self._make_features)
        raw = RowStream(tuple(self._bands), partial(self._make_raw, features), SCALE)
        residual = RowStream(chunks(self._size[0]), partial(self._make_residual, raw))
        finished = RowStream(chunks(self._size[0]), partial(self._finish, raw, residual), SCALE)
        height, width = SCALE * self._size[0], SCALE * self._size[1]
        reduced = size != (height, width)
        for band in bands(self._size[0], size[0])[skip:]:
            seen = source_rows(band, height, size[0]) if reduced else band
            whole = Span(seen.start // SCALE, -(-seen.stop // SCALE))
            with out_of_memory_told():
                finished.forget(whole.start)
                rows = finished.rows(whole)
                if reduced:
                    rows = reduce(rows, whole.times(SCALE), band, height, size).clamp_(0, 1)
            yield rows

    def _make_features(self, rows: Span) -> Tensor:
        rgb = self._seen.expand(-1, 3, -1, -1)
        return self._assemble(self._strips[rows], partial(self._runner.first, rgb), self._fittings[0], 1)

    def _make_raw(self, features: RowStream, rows: Span) -> Tensor:
        """The network's rows, clamped; a grey picture's as the mean of the three channels it gives."""
        band = self._bands[rows]

        def work(tile: Tile) -> Tensor:
            sr = self._runner.second(features, self._seen_size, tile)
            return sr if self._lr.shape[1] == 3 else sr.mean(dim=1, keepdim=True)

        raw = self._assemble(band, work, self._fittings[1], SCALE)
        features.forget(band.tiles[0].window_rows.start - UPSAMPLE_REACH)
        return raw.clamp_(0, 1)

    def _make_residual(self, raw: RowStream, rows: Span) -> Tensor:
        """What the small picture has and the raw rows, downscaled, lack."""
        seen = rows.grown(KERNEL_REACH, self._size[0])
        small = downscale(raw.rows(seen), SCALE)
        return self._lr[:, :, rows.slice] - small[:, :, rows.within(seen).slice]

    def _finish(self, raw: RowStream, residual: RowStream, rows: Span) -> Tensor:
        """Rows with what they lack to downscale to the picture, and with its flat ground as it is, clamped."""
        if self._rounds == 0:
            finished = raw.rows(rows).clone()
        else:
            needed = rows.grown(KERNEL_REACH, self._size[0])
            known = needed.grown(reach(self._rounds), self._size[0])
            missing = correction(residual.rows(known), self._rounds)[:, :, needed.within(known).slice]
            added = resize(missing, (SCALE * needed.length, SCALE * self._size[1]))
            finished = added[:, :, rows.within(needed).times(SCALE).slice] + raw.rows(rows)
            del added  # as large again
            keep_flat(finished, self._lr, rows)
        raw.forget(rows.stop - KERNEL_REACH)
        residual.forget(rows.stop - KERNEL_REACH - reach(self._rounds))
        return finished.clamp_(0, 1)

    def _assemble(self, band: Band, work: Callable[[Tile], Tensor], fitting: Fitting, scale: int) -> Tensor:
        """One row of tiles put together, (1, C, scale * rows, scale * columns)."""
        whole: Tensor | None = None
        across = Span(band.tiles[0].columns.start, band.tiles[-1].columns.stop)
        for tile in band.tiles:
            for piece, result in fitting.run(tile, self._seen_size, work):
                if whole is None:
                    whole = result.new_empty(1, result.shape[1], band.rows.length * scale, across.length * scale)
                rows, columns = piece.rows.within(band.rows).times(scale), piece.columns.within(across).times(scale)
                whole[:, :, rows.slice, columns.slice] = result
        assert whole is not None
        return whole


def _tile_shape(tile: int, width: int, channels: int) -> tuple[int, int]:
    """Most (rows, columns) of a tile: square, or lower and wider where its band would be too large."""
    row_bytes = SCALE * SCALE * width * channels * 4
    rows = min(tile, max(LOWEST_BAND, BAND_BYTES // row_bytes))
    return rows, tile * tile // rows
