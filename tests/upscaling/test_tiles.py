"""Any plan covers each pixel once, with windows inside the picture."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from sixteenfold.upscaling.tiles import Band, Span, plan_tiles, smaller, split

# A busy machine may pause any test for longer than hypothesis's own limit.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

sides = st.integers(1, 200)
margins = st.integers(0, 70)
borders = st.integers(0, 4)


def covered(bands: tuple[Band, ...], height: int, width: int) -> np.ndarray:
    """How often each pixel is kept, of a picture with its border."""
    count = np.zeros((height, width), int)
    for band in bands:
        for tile in band.tiles:
            assert tile.rows == band.rows
            count[tile.rows.slice, tile.columns.slice] += 1
    return count


@given(sides, sides, sides, sides, margins, borders)
def test_each_pixel_is_kept_once_and_the_border_never(
    height: int, width: int, rows: int, columns: int, margin: int, border: int
):
    bands = plan_tiles(height, width, (rows, columns), margin, border)
    expected = np.pad(np.ones((height, width), int), border)
    assert (covered(bands, *expected.shape) == expected).all()


@given(sides, sides, sides, margins, borders)
def test_windows_hold_the_margin_where_the_picture_goes_on(
    height: int, width: int, tile: int, margin: int, border: int
):
    for band in plan_tiles(height, width, (tile, tile), margin, border):
        for piece in band.tiles:
            for inner, window, limit in (
                (piece.rows, piece.window_rows, height + 2 * border),
                (piece.columns, piece.window_columns, width + 2 * border),
            ):
                assert 0 <= window.start <= max(0, inner.start - margin)
                assert min(limit, inner.stop + margin) <= window.stop <= limit


@given(sides, sides, sides, margins, borders)
def test_all_windows_of_a_plan_have_one_shape(height: int, width: int, tile: int, margin: int, border: int):
    tiles = [piece for band in plan_tiles(height, width, (tile, tile), margin, border) for piece in band.tiles]
    assert len({(piece.window_rows.length, piece.window_columns.length) for piece in tiles}) == 1


@given(sides, sides)
def test_spans_are_few_and_nearly_equal(length: int, largest: int):
    spans = split(length, largest)
    assert len(spans) == -(-length // largest)
    lengths = [span.length for span in spans]
    assert max(lengths) <= largest and max(lengths) - min(lengths) <= 1


@given(sides, sides, st.integers(1, 60), margins, st.data())
def test_smaller_tiles_cover_the_tile_once(height: int, width: int, largest: int, margin: int, data: st.DataObject):
    bands = plan_tiles(height, width, (100, 100), margin)
    tile = data.draw(st.sampled_from([piece for band in bands for piece in band.tiles]))
    count = np.zeros((height, width), int)
    for piece in smaller(tile, largest, margin, height, width):
        assert max(piece.rows.length, piece.columns.length) <= largest
        assert piece.window_rows == piece.rows.grown(margin, height)
        assert piece.window_columns == piece.columns.grown(margin, width)
        count[piece.rows.slice, piece.columns.slice] += 1
    inside = np.zeros_like(count)
    inside[tile.rows.slice, tile.columns.slice] = 1
    assert (count == inside).all()


def test_span_arithmetic():
    span = Span(5, 9)
    assert span.length == 4
    assert span.within(Span(3, 20)) == Span(2, 6)
    assert span.times(16) == Span(80, 144)
    assert span.grown(6, 12) == Span(0, 12)


@pytest.mark.parametrize(("height", "width", "tile", "margin"), [(0, 5, 4, 1), (5, 5, 0, 1), (5, 5, 4, -1)])
def test_impossible_plans_are_refused(height: int, width: int, tile: int, margin: int):
    with pytest.raises(ValueError):
        plan_tiles(height, width, (tile, tile), margin)
