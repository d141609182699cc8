"""Rows reduced band by band are those of the whole picture reduced at once."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from sixteenfold.imaging.resample import resize
from sixteenfold.upscaling.reduction import reduce, reduced_bands, source_rows
from sixteenfold.upscaling.tiles import Span


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(1, 40))
def test_bands_make_up_the_whole(height: int, new_height: int, rows: int) -> None:
    new_height = min(height, new_height)
    image = torch.rand(1, 2, height, 24, generator=torch.Generator().manual_seed(height))
    size = (new_height, 11)
    parts: list[torch.Tensor] = []
    for wanted in reduced_bands(height, new_height, rows):
        seen = source_rows(wanted, height, new_height)
        parts.append(reduce(image[:, :, seen.slice], seen, wanted, height, size))
    torch.testing.assert_close(torch.cat(parts, dim=2), resize(image, size), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("height", "new_height", "rows"), [(1600, 300, 256), (16, 16, 256), (160, 1, 16)])
def test_bands_come_from_about_as_many_rows_as_asked(height: int, new_height: int, rows: int) -> None:
    bands = reduced_bands(height, new_height, rows)
    assert bands[0].start == 0 and bands[-1].stop == new_height
    kernel = 4 * height / new_height
    assert all(
        source_rows(band, height, new_height).length <= rows + height / new_height + kernel + 3 for band in bands
    )


@pytest.mark.parametrize(("height", "new_height"), [(48, 7), (48, 48), (17, 5), (672, 661)])
def test_each_row_alone_has_the_weights_of_the_whole_picture(height: int, new_height: int) -> None:
    image = torch.rand(1, 1, height, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = resize(image, (new_height, 1))
    for wanted in (Span(row, row + 1) for row in range(new_height)):
        seen = source_rows(wanted, height, new_height)
        made = reduce(image[:, :, seen.slice], seen, wanted, height, (new_height, 1))
        torch.testing.assert_close(made, whole[:, :, wanted.slice], rtol=0, atol=1e-15)


def test_autocast_changes_nothing() -> None:
    image = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(2))
    seen, size = Span(0, 48), (7, 11)
    expected = reduce(image, seen, Span(0, 7), 48, size)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reduce(image, seen, Span(0, 7), 48, size), expected)
