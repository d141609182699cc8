"""Paths as callers in Python write them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def given(name: Path | str, what: str, way_out: str = "'.' stands for the current folder") -> Path:
    """Convert a path given by a caller.

    Args:
        name: As it was given.
        what: What it names, for the message.
        way_out: What the message advises.

    Raises:
        SixteenfoldError: If it is neither text nor a Path, or empty. pathlib would take that for the current folder; it
            is rather a mistake.
    """
    if not isinstance(name, Path | str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(f"{what}: expected a name or a path, not {type(name).__name__}")
    if name == "":
        raise SixteenfoldError(f"{what}: the name is empty; {way_out}")
    return Path(name)


def given_or_none(name: Path | str | None, what: str) -> Path | None:
    """`given` for a path that may be left out."""
    return None if name is None else given(name, what)


def all_given(names: Path | str | Sequence[Path | str], what: str) -> list[Path]:
    """`given` for one path or several."""
    # A string can be iterated too, over its letters.
    if isinstance(names, Path | str) or not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        names = (names,)
    return [given(name, what) for name in names]
