"""What is at a path, and folders made for results."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from sixteenfold.errors import SixteenfoldError


def there(path: Path) -> os.stat_result | None:
    """A path's stat result, following links; None if there is none.

    That is, if nothing is there, or it cannot be determined, as in a closed folder or for too long a name.
    """
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def file_there(path: Path) -> bool:
    """Whether the path is a regular file; folders and pipes are refused on reading or writing."""
    found = there(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def folder_there(path: Path) -> bool:
    """Whether the path is a folder, or a link to one."""
    found = there(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def spelled_out(path: Path) -> str:
    """One normalised name for a path, however it was written."""
    return os.path.normpath(path.absolute())


def open_itself(path: Path, mode: str) -> BinaryIO:
    """Open a file that only this package names, such as a half-written result, for writing in binary.

    A link in its place is removed, not followed: whoever may write in the folder could otherwise have any file of the
    user's overwritten.

    Raises:
        OSError: If that is not possible.
    """
    if path.is_symlink():
        path.unlink()
    no_link = getattr(os, "O_NOFOLLOW", 0)  # not on Windows
    return cast(BinaryIO, open(path, mode, opener=lambda name, flags: os.open(name, flags | no_link, 0o666)))


def make_folder(target: Path) -> None:
    """Create the folder of a result, if it is missing.

    Raises:
        SixteenfoldError: If that is not possible.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SixteenfoldError(f"{target}: part of its path is a file, not a folder; use another path") from None
    except OSError as error:
        raise SixteenfoldError(f"{target}: its folder cannot be created ({error.strerror}); use another path") from None
