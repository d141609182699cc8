"""The process's standard streams: told from files when they fail, and never left closed."""

import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any


class OutputError(Exception):
    """Writing to stdout failed. Not an OSError, so that it is not mistaken for a file's."""


class Output:
    """Stdout, whose failures can be told from those of the files that a verb reads and writes.

    BrokenPipeError stays what it is: no file raises it.
    """

    def __init__(self) -> None:
        self._stream = sys.stdout

    def write(self, text: str) -> int:
        with self._told():
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:  # what fails where they come from is none of the stream's failures
            self.write(line)

    def flush(self) -> None:
        with self._told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.strerror) from error


def replace_closed_streams() -> None:
    """Connect standard streams that our parent closed, as by `>&-`, to os.devnull.

    Otherwise the next opened file gets the stream's number, and a library's output is written into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def say_last(line: str) -> None:
    """Print a line on stderr, if it still exists: the process may be ending because the terminal was closed."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, line)):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            lead_nowhere(stream.fileno())


def lead_nowhere(descriptor: int) -> None:
    """Redirect a failing stream to os.devnull, for Python's own last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:  # as it is where that was closed
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
