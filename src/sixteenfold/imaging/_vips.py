"""What reading and writing both need from libvips: no cache, and errors on one line."""

import pyvips

# libvips remembers finished operations by their arguments, a file by its name alone. A scratch
# file that is written again under its old name would be encoded from the old rows, and a deleted
# one would keep its disk space. Nothing here runs the same operation twice.
pyvips.cache_set_max(0)
# Its warnings need no silencing: pyvips sends them to the logger "pyvips", which has a null handler.

_NOISE = ("source: bad seek", "vips__tiff_openin_source")
_LONGEST = 200


def reason(error: pyvips.Error) -> str:
    """libvips's account of `error` as one short line: the last cause that it names."""
    lines = [line.strip() for line in error.detail.splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    if not telling:
        return "the file is damaged or cut short"
    origin, colon, cause = telling[-1].partition(": ")
    # libvips puts the name of its own function in front, which tells a reader nothing.
    cause = " ".join((cause if colon and " " not in origin else telling[-1]).split())
    if not any(letter.isalpha() for letter in cause):
        return f"the file is damaged or cut short ({origin})"
    return cause[:_LONGEST]
