"""One process at a time."""

import errno
import sys
from typing import BinaryIO


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file for this process; False where another has it.

    The system releases it when the file is closed or the process ends, however it ends. On Windows nothing is locked,
    and on some network folders nothing can be: there two processes do not notice each other.

    Raises:
        OSError: If something else is wrong.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise
    return True
