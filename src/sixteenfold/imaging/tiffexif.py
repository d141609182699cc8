"""EXIF out of a TIFF file and into one, which libvips 8.18 does not do.

TIFF and EXIF are built alike: directories of entries (tag, type, count, value), some of which point to further
directories. In a TIFF, maker, model and date stand in the picture's own directory, exposure and place in
directories that it points to. All these are copied into a block of their own, as other formats carry it, or back.
A maker's note keeps its bytes, but not its place. Source: TIFF 6.0, section 2; CIPA DC-008 (Exif 2.32),
section 4.6; BigTIFF as in libtiff's description (https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from sixteenfold.imaging.exif import PREFIX

_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_POINTERS = {0: (_EXIF, _GPS), _EXIF: (_INTEROPERABILITY,)}
"""Which tags of the first directory (0) and of another point to directories of EXIF's."""
_DESCRIPTION = 0x010E
_CAMERA = {
    *(0x010D, _DESCRIPTION, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298),  # name to copyright
    *(0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5),  # rating, Windows' words, print matching
}
"""Tags of the first directory that tell of the photograph and not how its pixels are stored."""
_COMPRESSION, _JPEG = 0x0103, (6, 7)
_PHOTOMETRIC, WHITE_IS_ZERO, PALETTE, YCBCR = 0x0106, 0, 3, 6
_OF_THE_PIXELS = (b'{"shape', b"ImageJ=", b"<?xml", b"<OME")
"""How descriptions begin in which scientific programs keep sizes, which are wrong for another picture."""

_TYPES = {
    **dict.fromkeys((1, 2, 6, 7), (1, 1)),  # bytes, text, anything
    **dict.fromkeys((3, 8), (2, 1)),
    **dict.fromkeys((4, 9, 11, 13), (4, 1)),
    **dict.fromkeys((5, 10), (4, 2)),  # fractions
    12: (8, 1),
}
"""Type: (bytes of a number, numbers of a value). Those that only BigTIFF has are not EXIF's."""
_LONG, _LONG8 = 4, 16
_OFFSETS = {_LONG: "I", 13: "I", _LONG8: "Q", 18: "Q"}

_MOST_ENTRIES = 1000
"""In one directory; real ones have under a hundred."""
_MOST_BYTES = 4 * 2**20
"""In all values together: entries of a hostile file may all point to the same large place."""

Directory = dict[int, "tuple[int, bytes] | Directory"]
"""Tag: (type, its numbers in little-endian order), or the directory that the tag points to."""


class _Outside(ValueError):
    """Something points outside the file or block, or is larger than it can honestly be."""


def exif_of(descriptor: int) -> tuple[bytes | None, int]:
    """The EXIF of an open TIFF file, as a block, or None if it has none; and how many entries were left out.

    Those are damaged, and a damaged directory counts as one. The descriptor's position is moved.
    """
    try:
        tree = _Tree(partial(_read_at, descriptor))
    except _Outside:
        return None, 0
    said = tree.said()
    if not said:
        return None, tree.dropped
    layout = _Layout("<", big=False)
    start = len(layout.header(0))
    entries, far = _packed(said, layout, start + layout.size(len(said)))
    return PREFIX + layout.header(start) + layout.directory(entries, 0) + far, tree.dropped


def photometric_of(descriptor: int) -> int | None:
    """What an open TIFF file's samples mean, as its PhotometricInterpretation says (TIFF 6.0, section 8).

    None if it does not say, and for JPEG's YCbCr, which decoders turn into RGB. The descriptor's position is moved.
    """
    try:
        tree = _Tree(partial(_read_at, descriptor))
        value = f"{tree.layout.order}H{2 + struct.calcsize(tree.layout.offset)}xH"  # a short lies at the field's start
        said = {tag: struct.unpack_from(value, entry)[1] for tag, entry in tree.raw_entries(tree.first)}
    except _Outside:
        return None
    means = said.get(_PHOTOMETRIC)
    return None if means == YCBCR and said.get(_COMPRESSION) in _JPEG else means


def add_exif(descriptor: int, exif: bytes) -> None:
    """Put the entries of an EXIF block into a finished TIFF file that is open for reading and writing.

    They, and a new first directory that holds the old one's entries too, are appended, and the file's header is
    set to it. Entries that the file has already stay; damaged ones of the block are left out.
    """
    block = exif.removeprefix(PREFIX)
    try:
        said = _Tree(partial(_slice, block)).said()
    except _Outside:
        return
    file = _Tree(partial(_read_at, descriptor))
    layout = file.layout
    old = dict(file.raw_entries(file.first))
    said = {tag: value for tag, value in said.items() if tag not in old}
    if not said:
        return
    start = -(-os.lseek(descriptor, 0, os.SEEK_END) // 8) * 8
    entries, far = _packed(said, layout, start + layout.size(len(old) + len(said)))
    following = file.number(layout.offset, file.first + layout.size(len(old)) - struct.calcsize(layout.offset))
    _write_at(descriptor, start, layout.directory({**old, **entries}, following) + far)
    _write_at(descriptor, 0, layout.header(start))


@dataclass(frozen=True)
class _Layout:
    """How a file writes its directories: TIFF's way or BigTIFF's, in one byte order or the other."""

    order: str
    """As struct writes it."""
    big: bool

    @property
    def count(self) -> str:
        """Of a directory's entries."""
        return "Q" if self.big else "H"

    @property
    def offset(self) -> str:
        """Of a place in the file; an entry's value field is as large, and so is the count of its values."""
        return "Q" if self.big else "I"

    @property
    def entry(self) -> int:
        """Bytes of an entry."""
        return 4 + 2 * struct.calcsize(self.offset)

    def size(self, entries: int) -> int:
        """Bytes of a directory."""
        return struct.calcsize(f"={self.count}{self.offset}") + entries * self.entry

    def header(self, first: int) -> bytes:
        """A file's first bytes; first: where its first directory is."""
        mark = b"II" if self.order == "<" else b"MM"
        return mark + (
            struct.pack(f"{self.order}HHHQ", 43, 8, 0, first) if self.big else struct.pack(f"{self.order}HI", 42, first)
        )

    def directory(self, entries: Mapping[int, bytes], following: int) -> bytes:
        """A directory of finished entries, by tag; following: where the next is, or 0."""
        inside = b"".join(entries[tag] for tag in sorted(entries))
        count, after = (
            struct.pack(self.order + code, number)
            for code, number in ((self.count, len(entries)), (self.offset, following))
        )
        return count + inside + after


class _Tree:
    """Reads directories out of a file or block, and leaves out what is damaged.

    read: (position, length) -> exactly these bytes, or _Outside. Raises _Outside without a TIFF header.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._left = _MOST_BYTES
        self.dropped = 0
        order = {b"II": "<", b"MM": ">"}.get(read(0, 2))
        if order is None:
            raise _Outside
        magic = struct.unpack(order + "H", read(2, 2))[0]
        if magic not in (42, 43):
            raise _Outside
        self.layout = _Layout(order, big=magic == 43)
        self.first = self.number(self.layout.offset, 8 if self.layout.big else 4)

    def said(self) -> Directory:
        """What the first directory says of the photograph, with EXIF's own directories in it."""
        found = self._directory(self.first, 0, _CAMERA)
        description = found.get(_DESCRIPTION)
        if isinstance(description, tuple) and description[1].startswith(_OF_THE_PIXELS):
            del found[_DESCRIPTION]
        return found

    def number(self, code: str, position: int) -> int:
        """The number of a struct type at a place."""
        return struct.unpack(self.layout.order + code, self._read(position, struct.calcsize("=" + code)))[0]

    def raw_entries(self, position: int) -> Iterable[tuple[int, bytes]]:
        """Tag and bytes of each entry of the directory at a place."""
        layout = self.layout
        count = self.number(layout.count, position)
        if count > _MOST_ENTRIES:
            raise _Outside
        inside = self._read(position + struct.calcsize("=" + layout.count), count * layout.entry)
        for start in range(0, len(inside), layout.entry):
            entry = inside[start : start + layout.entry]
            yield struct.unpack_from(layout.order + "H", entry)[0], entry

    def _directory(self, position: int, parent: int, wanted: Iterable[int] | None) -> Directory:
        """The directory at a place; wanted: only these tags and the pointers; parent: the tag that led here."""
        found: Directory = {}
        damaged = 0
        pointers = _POINTERS.get(parent, ())
        try:
            for tag, entry in self.raw_entries(position):
                if tag not in pointers and wanted is not None and tag not in wanted:
                    continue
                try:
                    value = self._inner(tag, entry) if tag in pointers else self._value(entry)
                except _Outside:
                    damaged += 1
                    continue
                if value:
                    found[tag] = value
        except _Outside:
            damaged += 1
        if damaged > len(found):  # this was no directory, and what looked sound is chance
            found, damaged = {}, 1
        self.dropped += damaged
        return found

    def _inner(self, tag: int, entry: bytes) -> Directory:
        kind = struct.unpack_from(self.layout.order + "H", entry, 2)[0]
        # An offset of 64 bits does not fit into an entry of the classic layout.
        if kind not in _OFFSETS or struct.calcsize(_OFFSETS[kind]) > struct.calcsize(self.layout.offset):
            raise _Outside
        field = 4 + struct.calcsize(self.layout.offset)
        return self._directory(struct.unpack_from(self.layout.order + _OFFSETS[kind], entry, field)[0], tag, None)

    def _value(self, entry: bytes) -> tuple[int, bytes]:
        layout = self.layout
        kind, count = struct.unpack_from(f"{layout.order}H{layout.offset}", entry, 2)
        if kind not in _TYPES:
            raise _Outside
        width, numbers = _TYPES[kind]
        size = width * numbers * count
        if size > self._left:
            raise _Outside
        field = entry[4 + struct.calcsize(layout.offset) :]
        if size <= len(field):
            value = field[:size]
        else:
            value = self._read(struct.unpack(layout.order + layout.offset, field)[0], size)
        self._left -= size
        return kind, _swapped(value, width) if layout.order == ">" else value


def _packed(directory: Directory, layout: _Layout, far_at: int) -> tuple[dict[int, bytes], bytes]:
    """A directory's entries, by tag, and what they point to, which has to be put at `far_at`."""
    entries: dict[int, bytes] = {}
    far = bytearray()
    room = struct.calcsize(layout.offset)
    for tag, value in directory.items():
        here = far_at + len(far)
        if isinstance(value, dict):
            inner, beyond = _packed(value, layout, here + layout.size(len(value)))
            far += layout.directory(inner, 0) + beyond
            kind, count, field = _LONG8 if layout.big else _LONG, 1, struct.pack(layout.order + layout.offset, here)
        else:
            kind, field = value
            width, numbers = _TYPES[kind]
            count = len(field) // (width * numbers)
            if layout.order == ">":
                field = _swapped(field, width)
            if len(field) > room:
                far += field
                field = struct.pack(layout.order + layout.offset, here)
        far += bytes(len(far) % 2)  # values begin at even places
        entries[tag] = struct.pack(f"{layout.order}HH{layout.offset}", tag, kind, count) + field.ljust(room, b"\0")
    return entries, bytes(far)


def _swapped(value: bytes, width: int) -> bytes:
    """Numbers of so many bytes in the other byte order."""
    return np.frombuffer(value, f"u{width}").byteswap().tobytes()


def _slice(block: bytes, position: int, length: int) -> bytes:
    if position + length > len(block):
        raise _Outside
    return block[position : position + length]


def _read_at(descriptor: int, position: int, length: int) -> bytes:
    if position + length > os.fstat(descriptor).st_size:
        raise _Outside
    os.lseek(descriptor, position, os.SEEK_SET)
    found = os.read(descriptor, length)
    if len(found) != length:
        raise _Outside
    return found


def _write_at(descriptor: int, position: int, content: bytes) -> None:
    os.lseek(descriptor, position, os.SEEK_SET)
    while content:
        content = content[os.write(descriptor, content) :]
