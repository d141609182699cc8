"""A picture in memory, and what its file says of it besides its pixels."""

from dataclasses import dataclass

import numpy as np

DEFAULT_RESOLUTION = 72 / 25.4
"""Pixels per millimetre where a file says nothing: 72 an inch, as most programs assume."""

_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}  # an ICC profile's colour space, and its number of channels


@dataclass(frozen=True)
class Metadata:
    """A picture file's data besides its pixels."""

    icc: bytes | None = None
    """ICC profile of the pixels; None means sRGB, or grey with sRGB's curve."""
    exif: bytes | None = None
    """EXIF block, orientation 1, size that of the pixels."""
    xmp: bytes | None = None
    """XMP packet, orientation 1."""
    xres: float = DEFAULT_RESOLUTION
    """Horizontal pixels per millimetre."""
    yres: float = DEFAULT_RESOLUTION
    """Vertical pixels per millimetre."""


@dataclass(frozen=True)
class Image:
    """A picture, upright."""

    pixels: np.ndarray
    """(H, W, C), C = 1 (grey) or 3 (RGB); uint8, uint16, or float32 in 0..1."""
    alpha: np.ndarray | None
    """(H, W), same type; 0 is transparent, the type's maximum (float: 1) opaque."""
    metadata: Metadata
    notes: tuple[str, ...]
    """What was lost or converted, one phrase each."""


def profile_channels(icc: bytes) -> int | None:
    """How many channels an ICC profile is for: 1 (grey), 3 (RGB), 4 (CMYK); None for others."""
    return _CHANNELS.get(icc[16:20])
