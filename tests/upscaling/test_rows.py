"""Rows are made once, kept while needed, and gone after."""

import pytest
import torch
from torch import Tensor

from sixteenfold.upscaling.rows import RowStream
from sixteenfold.upscaling.tiles import Span

BLOCKS = (Span(0, 4), Span(4, 7), Span(7, 12))


def stream(made: list[Span], scale: int = 1) -> RowStream:
    def make(block: Span) -> Tensor:
        made.append(block)
        rows = torch.arange(block.start * scale, block.stop * scale, dtype=torch.float32)
        return rows.view(1, 1, -1, 1).expand(1, 2, -1, 3).clone()

    return RowStream(BLOCKS, make, scale)


@pytest.mark.parametrize("scale", [1, 4])
def test_any_span_gives_its_rows(scale: int):
    for start in range(12):
        for stop in range(start + 1, 13):
            rows = stream([], scale).rows(Span(start, stop))
            assert rows[0, 1, :, 2].tolist() == list(range(start * scale, stop * scale))


def test_blocks_are_made_once_and_only_when_needed():
    made: list[Span] = []
    rows = stream(made)
    rows.rows(Span(1, 5))
    rows.rows(Span(2, 6))
    assert made == [Span(0, 4), Span(4, 7)]


def test_rows_below_a_forgotten_one_stay_as_they_were():
    made: list[Span] = []
    rows = stream(made, 2)
    rows.rows(Span(0, 7))
    rows.forget(3)
    rows.forget(5)
    assert rows.rows(Span(5, 8))[0, 0, :, 0].tolist() == list(range(10, 16))
    assert made == list(BLOCKS)
    with pytest.raises(ValueError, match="forgotten"):
        rows.rows(Span(4, 6))


def test_forgotten_rows_free_their_memory():
    rows = stream([])
    rows.rows(Span(0, 4))
    rows.forget(3)
    assert rows.rows(Span(3, 4)).untyped_storage().nbytes() == 2 * 3 * 4
