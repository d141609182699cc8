"""Files that appear whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sixteenfold.files.places import open_itself


@contextmanager
def writing_whole(target: Path) -> Generator[BinaryIO]:
    """Open a file beside the target, renamed at the block's end: it is never seen half written, even after a crash.

    A process that is killed meanwhile leaves a `.NAME.PID.part`, which nothing reads.

    Args:
        target: Its folder must be there; an existing file is replaced.

    Raises:
        OSError: If it cannot be written. After this or anything else that the block raises, an existing file is
            unchanged, and nothing is left beside it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open_itself(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        # Already gone after success; and without a folder there is nothing to remove either.
        with suppress(OSError):
            part.unlink()


def write_whole(target: Path, content: bytes | memoryview) -> None:
    """Write all of a file, as `writing_whole` does it."""
    with writing_whole(target) as file:
        file.write(content)
