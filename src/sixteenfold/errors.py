"""The one error that a user can cause, and running out of memory told as that."""

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
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


class NoMemory(SixteenfoldError):
    """Memory ran out: with more of it the same would succeed."""


def one_line(text: str) -> str:
    """`text` with the line breaks and control characters that a file's name may hold shown as escapes."""
    return "".join(repr(letter)[1:-1] if category(letter) in _BREAKING else letter for letter in text)


def first_few(lines: Sequence[str]) -> str:
    """Join the first lines and say how many more there are, for messages about lists of any length."""
    return "; ".join([*lines[:FEW], *([f"and {len(lines) - FEW} more"] if lines[FEW:] else [])])


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """End a message about an unknown word by asking for the known one nearest to it, or by "" if none is near.

    cutoff: Least likeness to ask for, 0 to 1 (`difflib`).
    """
    return "".join(
        f"; did you mean {near!r}?" for near in get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    )


@contextmanager
def mistakes_told() -> Generator[None]:
    """For the programs in benchmarks/ and tools/: end with one line, instead of a traceback, on a user's mistake.

    A process that they start and that fails has said why; its command would only hide that.
    """
    from subprocess import CalledProcessError  # here alone: not at every start of the command line

    try:
        yield
    except (SixteenfoldError, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {one_line(str(error))}")
    except CalledProcessError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: a process that it started failed (status {error.returncode})")


@contextmanager
def out_of_memory_told(path: Path | None = None, advice: str = "free some, or use another device") -> Generator[None]:
    """Raise NoMemory if memory runs out in the block: about the file that its work was for, or with advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if path is None:
            raise NoMemory(f"out of memory: {advice}") from error
        raise NoMemory(f"{path}: does not fit into memory; free some, or give a smaller file") from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is Python, PyTorch or one of PyTorch's libraries that asked for more memory than there is."""
    said = str(error).lower()
    phrases = ("out of memory", "allocate memory", "bad alloc", "not enough memory")
    statuses = ("alloc_failed", "allocation_failed")  # of cuBLAS and cuDNN; the second since cuDNN 9
    # The second is PyTorch's, which not everything that can fail so has imported.
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(phrase in said for phrase in phrases + statuses)
