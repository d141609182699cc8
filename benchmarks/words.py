"""What several programs here read from the command line; argparse answers a word that is none of it in one line."""

import re
from argparse import ArgumentTypeError


def count(word: str) -> int:
    """A whole number above 0."""
    if not word.isdecimal() or int(word) == 0:
        raise ArgumentTypeError(f"{word!r} is not a whole number above 0")
    return int(word)


def count_or_zero(word: str) -> int:
    """A whole number from 0."""
    if not word.isdecimal():
        raise ArgumentTypeError(f"{word!r} is not a whole number")
    return int(word)


def two_sides(word: str) -> tuple[int, int]:
    """Two sides as they stand there, such as 312x480."""
    found = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", word)
    if not found:
        raise ArgumentTypeError(f"{word!r} is not two sides in pixels, such as 312x480")
    return int(found[1]), int(found[2])
