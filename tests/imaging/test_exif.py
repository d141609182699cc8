"""EXIF in both byte orders, with what is wrong corrected and the rest left alone."""

import struct

import pytest

from sixteenfold.imaging.exif import ExifError, resolution, upright

MAKER = b"maker's note, offsets and all"


def block(order: str, orientation: int = 6, unit: int = 2, kind: str = "H", thumbnail: int = 777) -> bytes:
    """Orientation, resolution 300/1 x 150/1, and in the EXIF directory a maker note and the size."""
    code = 3 if kind == "H" else 4

    def entry(tag: int, type_code: int, count: int, value: int) -> bytes:
        if type_code == 3:
            return struct.pack(order + "HHIHxx", tag, type_code, count, value)
        return struct.pack(order + "HHII", tag, type_code, count, value)

    inner_at = 8 + 2 + 5 * 12 + 4 + 16
    note_at = inner_at + 2 + 3 * 12 + 4
    first = struct.pack(order + "H", 5)
    first += entry(0x0112, 3, 1, orientation)
    first += entry(0x011A, 5, 1, inner_at - 16) + entry(0x011B, 5, 1, inner_at - 8)
    first += entry(0x0128, 3, 1, unit) + entry(0x8769, 4, 1, inner_at)
    first += struct.pack(order + "I", thumbnail) + struct.pack(order + "IIII", 300, 1, 150, 1)
    inner = struct.pack(order + "H", 3) + entry(0x927C, 7, len(MAKER), note_at)
    inner += entry(0xA002, code, 1, 60) + entry(0xA003, code, 1, 40) + struct.pack(order + "I", 0)
    header = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + header + struct.pack(order + "I", 8) + first + inner + MAKER


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["H", "I"])
@pytest.mark.parametrize("prefix", [True, False])
def test_upright_changes_what_it_says_and_nothing_else(order: str, kind: str, prefix: bool) -> None:
    given = block(order, kind=kind)
    wanted = block(order, orientation=1, kind=kind, thumbnail=0)
    got = upright(given if prefix else given[6:], 60, 40)
    assert got == wanted
    sized = upright(given, 4_000, 3_000)
    place = sized.index(struct.pack(order + "HH", 0xA002, 3 if kind == "H" else 4))
    assert struct.unpack_from(order + kind, sized, place + 8) == (4_000,)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_size_beyond_16_bits_widens_the_entry(order: str) -> None:
    assert upright(block(order), 70_000, 80_000) == upright(block(order, kind="I"), 70_000, 80_000)


def test_resolution() -> None:
    assert resolution(block("<", unit=2)) == pytest.approx((300 / 25.4, 150 / 25.4))
    assert resolution(block(">", unit=3)) == pytest.approx((30, 15))
    assert resolution(block("<", unit=1)) is None  # no unit: no size
    assert resolution(b"II*\0\x08\0\0\0\0\0") is None


@pytest.mark.parametrize("bad", [b"", b"Exif\0\0", b"II*\0", b"JUNKJUNKJUNK", b"II*\0\xff\xff\0\0"])
def test_junk_is_an_error(bad: bytes) -> None:
    with pytest.raises(ExifError):
        upright(bad, 1, 1)
    with pytest.raises(ExifError):
        resolution(bad)


def test_every_cut_ends_in_a_block_or_an_error() -> None:
    whole = block(">")
    ends = set[str]()
    for length in range(len(whole)):
        try:
            upright(whole[:length], 5, 5)
            ends.add("block")
        except ExifError:
            ends.add("error")
    assert ends == {"block", "error"}
