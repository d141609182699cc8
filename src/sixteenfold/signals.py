"""Handle signals that ask a process to end like Ctrl-C: finished work stays, unfinished work is cleaned up."""

import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import CodeType, FrameType

if sys.platform == "win32":
    ASKING = (signal.SIGTERM,)
else:
    ASKING = (signal.SIGTERM, signal.SIGHUP)
"""From `kill`, `timeout` and the system that shuts down; from a terminal that is closed."""
AGAIN_AFTER = 0.01
"""Seconds after which a lost interrupt is sent again, at the earliest."""


class Asked(KeyboardInterrupt):
    """A signal asked the process to end; `status` is the exit status a shell reports for death by that signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.status = 128 + number


def hears() -> bool:
    """Whether this is the main thread, the one in which handlers can be set and are called."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def heard_as_interrupts() -> Generator[None]:
    """Within the block these signals raise `Asked` in the main thread, as Ctrl-C raises KeyboardInterrupt.

    An ignored signal stays ignored, as SIGHUP under `nohup`, and one that has a handler keeps it. In threads other than
    the main one, where no handler can be set, nothing changes.
    """
    heard: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        raise Asked(number)

    if not hears():
        yield
        return
    numbers = [number for number in ASKING if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    except Exception as error:
        # A failure on the way out is not the reason for ending: a closed terminal, for instance, takes no last lines.
        if heard:
            raise Asked(heard[0]) from error
        raise
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def no_interrupt_lost() -> Generator[None]:
    """Within the block an interrupt that Python must ignore where it is raised, as in a callback, is raised again.

    libvips logs through Python callbacks, so the first line of Python after one of its calls is often in a callback.
    In threads other than the main one, where none is raised, nothing changes.
    """
    if not hears():
        yield
        return
    before, sys.unraisablehook = sys.unraisablehook, _again_or(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = before


def _again_or(otherwise: Callable[["sys.UnraisableHookArgs"], object]) -> Callable[["sys.UnraisableHookArgs"], object]:
    """An unraisable hook: sends an interrupt again soon, and passes anything else to `otherwise`."""

    def again(unraisable: "sys.UnraisableHookArgs") -> object:
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt):
            return otherwise(unraisable)
        number = error.number if isinstance(error, Asked) else signal.SIGINT
        return threading.Thread(target=_interrupt_outside, args=[again.__code__, number]).start()

    return again


def _interrupt_outside(code: CodeType, number: int) -> None:
    """Send the main thread the signal once it has left this code: within the hook it would be ignored, and lost."""
    main = threading.main_thread().ident
    assert main is not None
    inside = True
    while inside:
        time.sleep(AGAIN_AFTER)
        frame = sys._current_frames().get(main)  # pyright: ignore[reportPrivateUsage]
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        inside = frame is not None
    interrupt_main(signal.Signals(number))  # does nothing once the signal has no handler any more
