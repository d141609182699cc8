"""Checks that a path can be read or replaced, and the message for one that cannot be read."""

import stat
from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def check_ordinary(path: Path, mode: int) -> None:
    """Raise SixteenfoldError unless the path is a file or a folder: reading a pipe would wait.

    mode: `st_mode` of what the path leads to.
    """
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SixteenfoldError(f"{path}: is not a regular file (a pipe or device?); save it to a file first")


def check_replaceable(path: Path) -> None:
    """Raise SixteenfoldError if a result's name is taken by something other than a file or a folder.

    If a file replaced a pipe, the pipe's reader would wait for ever.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or the error is reported when the result is written
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SixteenfoldError(f"{path}: is not a regular file, so it is not replaced; choose another path")


def unreadable(path: Path, error: OSError | ValueError) -> SixteenfoldError:
    """The user's mistake behind an error that the system raised when looking up or opening the path."""
    match error:
        case FileNotFoundError():
            said = "does not exist; check the name"
        case NotADirectoryError():
            said = "does not exist: part of its path is a file; check the name"
        case PermissionError():
            said = "is not readable; change its permissions or its folder's"
        case _:  # a name that the system does not take is a ValueError
            said = f"cannot be read ({getattr(error, 'strerror', None) or error}); check the name"
    return SixteenfoldError(f"{path}: {said}")
