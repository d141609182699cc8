"""The few EXIF entries that a change of size or direction makes wrong, corrected in place.

EXIF is a small TIFF file: a header, then directories of 12-byte entries (tag, type, count, value).
Everything else in it, maker notes included, keeps its bytes and its place. Source: CIPA DC-008
(Exif 2.32), section 4.6; TIFF 6.0, section 2.
"""

import struct
from collections.abc import Iterator

PREFIX = b"Exif\0\0"
"""What JPEG puts before the block."""
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_EXIF_DIRECTORY, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x8769, 0xA002, 0xA003
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_MM_PER_UNIT = {2: 25.4, 3: 10.0}  # ResolutionUnit: inch, centimetre


class ExifError(ValueError):
    """The block is not EXIF, or points outside itself."""


def upright(exif: bytes, width: int, height: int) -> bytes:
    """`exif` for an upright picture of `width` x `height` pixels.

    Orientation becomes 1 (top left), the recorded pixel size the given one, and the thumbnail,
    which shows the old direction, is cut off. Raises ExifError when the block cannot be read.
    """
    body, order = _body(exif)
    first = _directory(body, order)
    for tag, kind, position in _entries(body, order, first):
        if tag == _ORIENTATION:
            _put(body, order, kind, position, 1)
        if tag == _EXIF_DIRECTORY:
            directory = _number(body, order, _LONG, position)
            for inner, inner_kind, inner_position in _entries(body, order, directory):
                if inner == _PIXEL_WIDTH:
                    _put(body, order, inner_kind, inner_position, width)
                elif inner == _PIXEL_HEIGHT:
                    _put(body, order, inner_kind, inner_position, height)
    count = _unpack(body, order + "H", first)
    thumbnail = first + 2 + 12 * count
    if thumbnail + 4 <= len(body):
        struct.pack_into(order + "I", body, thumbnail, 0)
    return PREFIX + bytes(body)


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Horizontal and vertical pixels per millimetre, or None when `exif` does not say."""
    body, order = _body(exif)
    found: dict[int, float] = {}
    for tag, kind, position in _entries(body, order, _directory(body, order)):
        if tag in (_X_RESOLUTION, _Y_RESOLUTION) and kind == _RATIONAL:
            place = _unpack(body, order + "I", position)
            below = _unpack(body, order + "I", place + 4)
            found[tag] = _unpack(body, order + "I", place) / below if below else 0.0
        elif tag == _RESOLUTION_UNIT:
            found[tag] = _number(body, order, kind, position)
    millimetres = _MM_PER_UNIT.get(int(found.get(_RESOLUTION_UNIT, 2)))
    x, y = found.get(_X_RESOLUTION, 0.0), found.get(_Y_RESOLUTION, 0.0)
    return (x / millimetres, y / millimetres) if millimetres and x > 0 and y > 0 else None


def _body(exif: bytes) -> tuple[bytearray, str]:
    """The block without JPEG's prefix, and its byte order as struct writes it."""
    body = bytearray(exif.removeprefix(PREFIX))
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(body[:4]))
    if order is None:
        raise ExifError("no TIFF header")
    return body, order


def _directory(body: bytearray, order: str) -> int:
    return _unpack(body, order + "I", 4)


def _entries(body: bytearray, order: str, offset: int) -> Iterator[tuple[int, int, int]]:
    """Tag, type and position of the value field of each entry in the directory at `offset`."""
    for index in range(_unpack(body, order + "H", offset)):
        entry = offset + 2 + 12 * index
        yield (
            _unpack(body, order + "H", entry),
            _unpack(body, order + "H", entry + 2),
            entry + 8,
        )


def _number(body: bytearray, order: str, kind: int, position: int) -> int:
    return _unpack(body, order + ("H" if kind == _SHORT else "I"), position)


def _put(body: bytearray, order: str, kind: int, position: int, value: int) -> None:
    """Store `value` in the entry; one too large for a 16-bit entry turns it into a 32-bit one."""
    if kind == _SHORT and value > 0xFFFF:
        struct.pack_into(order + "H", body, position - 6, _LONG)
        kind = _LONG
    _unpack(body, order + "I", position)  # the field must lie inside the block
    struct.pack_into(order + ("H" if kind == _SHORT else "I"), body, position, value)


def _unpack(body: bytearray, form: str, offset: int) -> int:
    try:
        return struct.unpack_from(form, body, offset)[0]
    except struct.error as error:
        raise ExifError("an entry points outside the block") from error
