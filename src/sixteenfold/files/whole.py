"""Files that appear whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole(target: Path) -> Generator[BinaryIO]:
    """A file beside the target, renamed at the block's end: nobody ever sees half of it, whenever the machine stops.

    A process that is killed meanwhile leaves a `.NAME.PID.part`, which nothing reads.

    Args:
        target: Its folder must be there; an existing file is replaced.

    Raises:
        OSError: If it cannot be written. After this and whatever else the block raises, a file that was there stays,
            and nothing is left beside it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        # Gone when all went well; and where the folder is none, there is nothing to remove either.
        with suppress(OSError):
            part.unlink()


def write_whole(target: Path, content: bytes | memoryview) -> None:
    """Write all of a file, as `whole` does it."""
    with whole(target) as file:
        file.write(content)
