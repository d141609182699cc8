"""Convolutions as machine code for the CPU at hand, on pictures laid out for it."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sixteenfold.kernels.assembly import Machine


@cache
def winograd_machine() -> "Machine | None":
    """The CPU as the Winograd code sees it; None if it lacks the vectors, or llvmlite is not installed."""
    try:
        from sixteenfold.kernels.assembly import this_machine
    except ImportError:
        return None
    return this_machine()
