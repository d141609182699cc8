"""From x16 to any smaller size, by the exact antialiased bicubic, a few rows at a time."""

from torch import Tensor

from sixteenfold.imaging.resample import by_matrix, dense, resize, taps
from sixteenfold.upscaling.tiles import Span


def reduced_bands(height: int, new_height: int, rows: int) -> tuple[Span, ...]:
    """The rows of the reduced picture in spans that each come from about `rows` rows of the large one."""
    step = max(1, rows * new_height // height)
    return tuple(Span(top, min(top + step, new_height)) for top in range(0, new_height, step))


def source_rows(wanted: Span, height: int, new_height: int) -> Span:
    """The rows of the large picture that some rows of the reduced one are made from."""
    weights, rows = _taps(wanted, height, new_height)
    used = rows[weights != 0]
    return Span(int(used.min()), int(used.max()) + 1)


def reduce(rows: Tensor, seen: Span, wanted: Span, height: int, size: tuple[int, int]) -> Tensor:
    """Some rows of what `resize` makes of the whole large picture.

    Args:
        rows: (1, C, seen.length, W), rows of the large picture, at least `source_rows(wanted, ...)`.
        seen: Which rows these are.
        wanted: Rows of the reduced picture.
        height: Rows of the whole large picture.
        size: (height, width) of the whole reduced picture, no larger than the large one.

    Returns:
        (1, C, wanted.length, width of the reduced picture), not clamped.
    """
    weights, places = _taps(wanted, height, size[0])
    # What is not among the rows seen has no weight, wherever it points.
    matrix = dense(weights, (places - seen.start).clamp(0, seen.length - 1), seen.length)
    narrow = resize(rows, (rows.shape[2], size[1]))
    return by_matrix(narrow, -2, matrix.to(narrow))


def _taps(wanted: Span, height: int, new_height: int) -> tuple[Tensor, Tensor]:
    """Weights and rows of the large picture for some rows of the reduced one, both (taps, wanted.length)."""
    weights, rows = taps(height, new_height, new_height / height)
    return weights[:, wanted.slice], rows[:, wanted.slice]
