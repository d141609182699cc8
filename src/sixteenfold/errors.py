"""The one error that a user can cause."""

from collections.abc import Sequence
from unicodedata import category

FEW = 3
"""How many of several things a message names."""
_BREAKING = ("Cc", "Zl", "Zp")
"""Unicode's categories of control characters, line and paragraph separators."""


class SixteenfoldError(Exception):
    """A mistake in the input, the options or the surroundings, not in the program.

    The message names the file or option, the cause and the way out, on one line. The command line
    prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class Interrupted(SixteenfoldError):
    """The user, or the system, told a command to stop, and it stopped cleanly; its status is 130."""


def one_line(text: str) -> str:
    """`text` with the line breaks and control characters that a file's name may hold shown as escapes."""
    return "".join(repr(letter)[1:-1] if category(letter) in _BREAKING else letter for letter in text)


def first_few(lines: Sequence[str]) -> str:
    """Join the first lines and say how many more there are, for messages about lists of any length."""
    return "; ".join([*lines[:FEW], *([f"and {len(lines) - FEW} more"] if lines[FEW:] else [])])
