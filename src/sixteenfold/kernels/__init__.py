"""Convolutions as machine code for the CPU at hand, on pictures laid out for it."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sixteenfold.kernels.assembly import Machine


PATCH = 4
"""Side of the patches that the Winograd code makes; here, as to know it takes no llvmlite."""


@cache
def winograd_machine() -> "Machine | None":
    """The CPU as the Winograd code sees it; None if it lacks the vectors, or llvmlite is not installed."""
    try:
        from sixteenfold.kernels.assembly import this_machine
    except ImportError:
        return None
    return this_machine()
