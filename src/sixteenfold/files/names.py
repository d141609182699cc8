"""Paths as callers in Python write them."""

from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def given(name: Path | str, what: str) -> Path:
    """Convert a path given by a caller.

    Args:
        name: As it was given.
        what: What it names, for the message.

    Raises:
        SixteenfoldError: If it is empty, which pathlib takes for the current folder; it is rather a mistake.
    """
    if name == "":
        raise SixteenfoldError(f"{what}: the name is empty; '.' stands for the current folder")
    return Path(name)
