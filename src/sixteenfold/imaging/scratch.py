"""The file that rows wait in: a header of 16 bytes, the plain rows, and at the end an index.

With the index it is an uncompressed BigTIFF, which libvips reads strip by strip. Its loader for raw
samples maps the whole file instead, and all of it counts as memory of the process. Where the index
will be is known from the start, so that rows are only ever appended, and the file of a program that
was killed still tells by its length how many it holds. Source: BigTIFF as in libtiff's description
(https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

import struct
import sys

import numpy as np

from sixteenfold.imaging.samples import sample_bits

HEADER_BYTES = 16
_STRIP_BYTES = 2**20
_SHORT, _LONG, _LONG8 = 3, 4, 16
_SIZES = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}
_ENTRY_BYTES = 20

Shape = tuple[int, int, int]
"""Height, width and channels; an even number of channels has alpha last."""


def header(shape: Shape, dtype: np.dtype) -> bytes:
    """What comes before the rows."""
    order = b"II" if sys.byteorder == "little" else b"MM"
    return order + struct.pack("=HHHQ", 43, 8, 0, _index_at(shape, dtype))


def index(shape: Shape, dtype: np.dtype) -> bytes:
    """What comes after the last row."""
    height, width, channels = shape
    row = width * channels * dtype.itemsize
    rows = min(height, max(1, _STRIP_BYTES // row))
    tops = range(0, height, rows)
    entries = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [sample_bits(dtype)] * channels),
        (259, _SHORT, [1]),  # not compressed
        (262, _SHORT, [1 if channels <= 2 else 2]),  # grey from black up, or RGB
        (273, _LONG8, [HEADER_BYTES + top * row for top in tops]),
        (277, _SHORT, [channels]),
        (278, _LONG, [rows]),
        (279, _LONG8, [min(rows, height - top) * row for top in tops]),
    ]
    if channels % 2 == 0:
        entries.append((338, _SHORT, [2]))  # alpha, not multiplied in
    entries.append((339, _SHORT, [3 if dtype.kind == "f" else 1] * channels))

    start = _index_at(shape, dtype)
    far_at = start + 8 + _ENTRY_BYTES * len(entries) + 8
    near, far = struct.pack("=Q", len(entries)), b""
    for tag, kind, values in entries:
        value = struct.pack(f"={len(values)}{_SIZES[kind]}", *values)
        if len(value) > 8:  # too long for the entry itself
            far, value = far + value, struct.pack("=Q", far_at + len(far))
        near += struct.pack("=HHQ8s", tag, kind, len(values), value)
    padding = bytes(start - HEADER_BYTES - height * row)
    return padding + near + struct.pack("=Q", 0) + far


def _index_at(shape: Shape, dtype: np.dtype) -> int:
    """After the rows, at the next multiple of 8."""
    height, width, channels = shape
    return -(-(HEADER_BYTES + height * width * channels * dtype.itemsize) // 8) * 8
