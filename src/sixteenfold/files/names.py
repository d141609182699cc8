"""Paths as callers in Python write them."""

from collections.abc import Sequence
from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def given(name: Path | str, what: str, way_out: str = "'.' stands for the current folder") -> Path:
    """Convert a path given by a caller.

    Args:
        name: As it was given.
        what: What it names, for the message.
        way_out: What the message advises.

    Raises:
        SixteenfoldError: If it is empty. pathlib would take that for the current folder; it is rather a mistake.
    """
    if name == "":
        raise SixteenfoldError(f"{what}: the name is empty; {way_out}")
    return Path(name)


def given_or_none(name: Path | str | None, what: str) -> Path | None:
    """`given` for a path that may be left out."""
    return None if name is None else given(name, what)


def all_given(names: Path | str | Sequence[Path | str], what: str) -> list[Path]:
    """`given` for one path or several."""
    # A string is a sequence too, of letters.
    return [given(name, what) for name in ((names,) if isinstance(names, Path | str) else names)]
