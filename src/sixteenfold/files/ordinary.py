"""What can be read to its end."""

import stat
from pathlib import Path

from sixteenfold.errors import SixteenfoldError


def check_ordinary(path: Path, mode: int) -> None:
    """Raise SixteenfoldError where something else than a file or a folder has the name: a pipe would be waited for.

    mode: `st_mode` of what the path leads to.
    """
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SixteenfoldError(f"{path}: is no ordinary file; save it as one first")
