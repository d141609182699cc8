"""Sizes and counts as callers in Python write them, NumPy's among them, as Python's own: names and hashes show them."""

from collections.abc import Iterable
from numbers import Integral
from typing import cast

from sixteenfold.errors import SixteenfoldError


def whole_number(number: object, what: str, least: int) -> int:
    """A whole number, at least `least`. Raises SixteenfoldError if it is none; `what` names it."""
    if not _is_whole(number) or cast(int, number) < least:
        raise SixteenfoldError(f"{what} {number!r}: must be a whole number, at least {least}")
    return int(cast(int, number))


def two_sides(size: object, order: str) -> tuple[int, int]:
    """A size in pixels, of any sign. Raises SixteenfoldError if it is none; `order` says which side is the first."""
    sides = tuple(cast(Iterable[object], size)) if isinstance(size, Iterable) else ()
    if len(sides) != 2 or not all(map(_is_whole, sides)):
        raise SixteenfoldError(f"size: expected {order} in whole pixels, not {size!r}")
    first, second = map(int, cast(tuple[int, int], sides))
    return first, second


def _is_whole(number: object) -> bool:
    return not isinstance(number, bool) and isinstance(number, Integral)
