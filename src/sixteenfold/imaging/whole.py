"""Files that appear whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(target: Path, content: bytes | memoryview) -> None:
    """Write beside the target, then rename: nobody ever sees half a file, whenever the machine stops.

    A process that is killed meanwhile leaves a `.NAME.PID.part`, which nothing reads.

    Args:
        target: Its folder must be there; an existing file is replaced.
        content: All of it.

    Raises:
        OSError: If it cannot be written; a file that was there stays, and nothing is left beside it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        # Gone when all went well; and where the folder is none, there is nothing to remove either.
        with suppress(OSError):
            part.unlink()
