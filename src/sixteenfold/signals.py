"""Signals that ask a process to end, heard as Ctrl-C is: what was done stays, and what was begun is tidied up."""

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

if sys.platform == "win32":
    ASKING = (signal.SIGTERM,)
else:
    ASKING = (signal.SIGTERM, signal.SIGHUP)
"""From `kill`, `timeout` and the system that shuts down; from a terminal that is closed."""


class Asked(KeyboardInterrupt):
    """A signal asked the process to end; `status` is what a shell says of one that the signal itself had ended."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextmanager
def heard_as_interrupts() -> Generator[None]:
    """Within the block these signals raise `Asked` in the main thread, as Ctrl-C raises KeyboardInterrupt.

    One that is ignored stays ignored, as SIGHUP under `nohup`, and one that has a handler keeps it. In another thread
    than the main one, where no handler can be set, nothing changes.
    """
    heard: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        raise Asked(number)

    in_main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in ASKING if in_main and signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    except Exception as error:
        # What fails on the way out is not why it ends: the terminal that was closed takes no last lines.
        if heard:
            raise Asked(heard[0]) from error
        raise
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
