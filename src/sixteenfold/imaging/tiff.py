"""A finished scratch file -> a TIFF file, its tiles compressed on all cores.

libvips compresses TIFF in one thread, searching all that went before for repetitions. What is left of a photograph
once each pixel has become its difference to the pixel before hardly repeats: zlib's run-length strategy, which looks
at the byte before alone and otherwise gives short codes to what is frequent, comes to the same size within a few
percent in half the time, and zlib lets other threads run meanwhile (docs/decisions.md). tifffile writes what is
around the tiles.

Source: TIFF 6.0, sections 14 (differences) and 15 (tiles).
"""

import os
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from math import prod
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import BinaryIO

import numpy as np
import pyvips
from tifffile import TiffWriter

from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.scratch import HEADER_BYTES, Shape

TILE = 256
"""Side of a tile in pixels."""
_XMP, _BYTE = 700, 1


def save(
    rows: BinaryIO, image: pyvips.Image, dtype: np.dtype, metadata: Metadata, target: BinaryIO, *, bigtiff: bool
) -> None:
    """Write the picture in the finished scratch file `rows` to `target`.

    image: `rows` as libvips sees them, for size and resolution; dtype: of the samples, uint8 or uint16.
    A row of tiles is in memory at a time, and few compressed ones. EXIF is left to tiffexif.py. Raises OSError.
    """
    shape = (image.height, image.width, image.bands)
    threads = _cores()
    with TiffWriter(target, bigtiff=bigtiff) as writer, _started(threads) as pool:
        writer.write(
            _compressed(_tiles(rows, shape, dtype), pool, ahead=2 * threads),
            shape=shape if image.bands > 1 else shape[:2],
            dtype=dtype,
            tile=(TILE, TILE),
            compression="zlib",
            predictor="horizontal",
            photometric="rgb" if image.bands > 2 else "minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"] if image.bands % 2 == 0 else None,
            iccprofile=metadata.icc,
            # libvips has them as 32-bit floats: 300 is not quite 300.
            resolution=(round(image.xres * 25.4, 3), round(image.yres * 25.4, 3)),
            extratags=[] if metadata.xmp is None else [(_XMP, _BYTE, len(metadata.xmp), metadata.xmp, True)],
            metadata=None,
            software=False,
        )


@contextmanager
def _started(threads: int) -> Generator[ThreadPool | None]:
    """So many threads; None where Python does not start them all, as from 3.12 on once the program is on its way out.

    Not an executor, which takes no work then in any Python: the last picture's file may still be under way.
    """
    try:
        pool = ThreadPool(threads)
    except (RuntimeError, AttributeError):  # the latter of those it did start, which it cannot end
        pool = None
    with pool or nullcontext():
        yield pool


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tiles(rows: BinaryIO, shape: Shape, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The tiles line by line; those at the right and the lower edge are smaller."""
    height, width, channels = shape
    rows.seek(HEADER_BYTES)
    for top in range(0, height, TILE):
        band = (min(TILE, height - top), width, channels)
        pixels = np.frombuffer(rows.read(prod(band) * dtype.itemsize), dtype).reshape(band)
        for left in range(0, width, TILE):
            yield pixels[:, left : left + TILE]


def _compressed(tiles: Iterator[np.ndarray], pool: ThreadPool | None, ahead: int) -> Iterator[bytes]:
    """The tiles as they stand in the file; at most so many are made before they are asked for, without threads none."""
    if pool is None:
        yield from map(_deflated, tiles)
        return
    waiting: deque[AsyncResult[bytes]] = deque()
    for tile in tiles:
        waiting.append(pool.apply_async(_deflated, (tile,)))
        if len(waiting) > ahead:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


def _deflated(tile: np.ndarray) -> bytes:
    height, width, channels = tile.shape
    pixels = np.zeros((TILE, TILE, channels), tile.dtype)
    pixels[:height, :width] = tile
    steps = pixels.copy()
    steps[:, 1:] -= pixels[:, :-1]  # around the type's end where it must
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)
    return deflate.compress(steps.data) + deflate.flush()
