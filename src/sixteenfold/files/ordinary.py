"""What can be read to its end or replaced, and what is said of what cannot be read at all."""

import stat
from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def check_ordinary(path: Path, mode: int) -> None:
    """Raise SixteenfoldError where something else than a file or a folder has the name: a pipe would be waited for.

    mode: `st_mode` of what the path leads to.
    """
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SixteenfoldError(f"{path}: is not a regular file (a pipe or device?); save it to a file first")


def check_replaceable(path: Path) -> None:
    """Raise SixteenfoldError where something else than a file or a folder has a result's name.

    A pipe's reader would wait for ever for what a file in the pipe's place holds.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or it is told when the result is written
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SixteenfoldError(f"{path}: is not a regular file, so it is not replaced; choose another path")


def unreadable(path: Path, error: OSError | ValueError) -> SixteenfoldError:
    """The user's mistake behind what the system raised when the path was looked up or opened."""
    match error:
        case FileNotFoundError():
            said = "does not exist; check the name"
        case NotADirectoryError():
            said = "does not exist: part of its path is a file; check the name"
        case PermissionError():
            said = "may not be read; change its permissions or its folder's"
        case _:  # a name that the system does not take is a ValueError
            said = f"cannot be read ({getattr(error, 'strerror', None) or error}); check the name"
    return SixteenfoldError(f"{path}: {said}")
