"""EXIF through TIFF files, as Pillow and tifffile write and read it; and out of hostile ones."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from sixteenfold.imaging import encode
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.tiffexif import exif_of
from sixteenfold.imaging.write import rows_to_file

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 600, 3), np.uint8)
NOTE = b"maker's note, offsets and all"


def full_block(*, interoperability: bool = True) -> bytes:
    """Text, numbers, a maker's note, a place and an interoperability directory."""
    entries = Pillow.Exif()
    entries[0x010F], entries[0x0132], entries[0x010E] = "Maker", "2020:02:02 20:20:20", "A day out"
    inner = entries.get_ifd(0x8769)
    inner[0x829A], inner[0x9204], inner[0x927C], inner[0x8827] = 1 / 250, -0.5, NOTE, 400
    inner[0xA002], inner[0xA003] = 600, 40
    if interoperability:
        inner[0xA005] = {1: "R98"}
    entries.get_ifd(0x8825)[1], entries.get_ifd(0x8825)[2] = "N", (52.0, 30.0, 59.0)
    return entries.tobytes()


def as_pillow_reads(block: bytes) -> dict[object, object]:
    parsed = Pillow.Exif()
    parsed.load(block)
    return contents(parsed)


def contents(parsed: Pillow.Exif) -> dict[object, object]:
    found: dict[object, object] = {tag: parsed.get(tag) for tag in (0x010F, 0x0132, 0x010E)}
    for folder in (0x8769, 0x8825):
        found |= {(folder, tag): value for tag, value in parsed.get_ifd(folder).items() if tag != 0xA005}
    return found | {(0xA005, tag): value for tag, value in parsed.get_ifd(0xA005).items()}


def write(path: Path, exif: bytes | None, *, pyramid: bool = False) -> Path:
    with rows_to_file(path, 600, 40, 3, np.uint8, Metadata(exif=exif), pyramid=pyramid) as writer:
        writer.write(PIXELS)
    return path


def read_out(path: Path) -> tuple[bytes | None, int]:
    with path.open("rb") as file:
        return exif_of(file.fileno())


def test_what_pillow_wrote_is_read_whole(tmp_path: Path) -> None:
    block = full_block(interoperability=False)  # of that Pillow writes a wrong place into a TIFF
    Pillow.fromarray(PIXELS).save(tmp_path / "a.tif", exif=block)
    got = read(tmp_path / "a.tif")
    assert got.notes == () and got.metadata.exif is not None
    assert as_pillow_reads(got.metadata.exif) == as_pillow_reads(block)
    assert as_pillow_reads(block)[0x8769, 0x927C] == NOTE


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_what_is_written_pillow_and_tifffile_read(
    tmp_path: Path, big: bool, pyramid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(encode, "BIGTIFF_BYTES", 1)
    block = full_block()
    path = write(tmp_path / "a.tif", block, pyramid=pyramid)
    wanted = as_pillow_reads(block)
    with Pillow.open(path) as seen:
        assert contents(seen.getexif()) == wanted
        assert np.array_equal(np.asarray(seen), PIXELS)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == big
        assert [page.shape[:2] for page in file.pages] == (
            [(40, 600), (20, 300), (10, 150)] if pyramid else [(40, 600)]
        )
        first: Any = file.pages[0]
        assert first.tags["ExifTag"].value["MakerNote"] == NOTE
        assert first.tags["GPSTag"].value["GPSLatitudeRef"] == "N"
        assert sorted(first.tags.keys()) == list(first.tags.keys())  # as TIFF wants them
    again = read(path).metadata.exif
    assert again is not None and as_pillow_reads(again) == wanted


def test_a_tiff_without_exif_stays_without(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tif", None)).metadata.exif is None
    # A block that says nothing of the photograph, and one that is none, add nothing.
    plain = (tmp_path / "a.tif").read_bytes()
    empty = Pillow.Exif()
    empty[0x0112] = 1
    assert write(tmp_path / "b.tif", empty.tobytes()).read_bytes() == plain


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    """A camera's block is a TIFF file by itself."""
    inner_at = 8 + 2 + 2 * 12 + 4
    body = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 2)
    body += struct.pack(order + "HHI", 0x010F, 2, 2) + b"M\0\0\0" + struct.pack(order + "HHII", 0x8769, 4, 1, inner_at)
    body += struct.pack(order + "IH", 0, 3)
    body += struct.pack(order + "HHIHxx", 0x8827, 3, 1, 400)
    body += struct.pack(order + "HHII", 0x829A, 5, 1, inner_at + 42) + struct.pack(order + "HHII", 0xA002, 4, 1, 600)
    body += struct.pack(order + "III", 0, 1, 250)
    (tmp_path / "a.tif").write_bytes(body)
    block, dropped = read_out(tmp_path / "a.tif")
    assert block is not None and dropped == 0
    parsed = Pillow.Exif()
    parsed.load(block)
    assert parsed[0x010F] == "M"
    assert dict(parsed.get_ifd(0x8769)) == {0x8827: 400, 0x829A: 1 / 250, 0xA002: 600}


@pytest.mark.parametrize("description", ['{"shape": [40, 600, 3]}', "ImageJ=1.11a", '<?xml version="1.0"?><OME/>'])
def test_descriptions_of_the_pixels_are_not_taken_over(tmp_path: Path, description: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, description=description, metadata=None, photometric="rgb")
    block = read(tmp_path / "a.tif").metadata.exif
    assert block is None or not any(word in block for word in (b"shape", b"ImageJ", b"xml"))


# --- hostile files ----------------------------------------------------------------------------------------------------


def hostile(tmp_path: Path, entries: list[bytes], tail: bytes = b"") -> Path:
    """A little-endian file of one EXIF directory at 38, with these entries."""
    body = struct.pack("<2sHIHHHIIHHIIIxxxx", b"II", 42, 8, 2, 0x010F, 2, 2, 77, 0x8769, 4, 1, 42, 0)
    body += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0) + tail
    (tmp_path / "a.tif").write_bytes(body)
    return tmp_path / "a.tif"


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


GOOD = entry(0x8827, 3, 1, 400)


@pytest.mark.parametrize(
    "bad",
    [
        entry(0x9286, 7, 2**32 - 1, 0),  # larger than the file
        entry(0x9286, 7, 100, 2**32 - 1),  # outside of it
        entry(0x9286, 99, 1, 1),  # of no known type
        entry(0xA005, 4, 1, 2**31),  # a directory outside
        entry(0xA005, 2, 1, 8),  # a directory that is text
        entry(0xA005, 16, 1, 8),  # places of 64 bits, for which there is no room in this kind of file
        entry(0xA005, 18, 1, 8),
    ],
)
def test_a_damaged_entry_is_left_out_and_said(tmp_path: Path, bad: bytes) -> None:
    block, dropped = read_out(hostile(tmp_path, [GOOD, bad]))
    assert dropped == 1 and block is not None
    parsed = Pillow.Exif()
    parsed.load(block)
    assert dict(parsed.get_ifd(0x8769)) == {0x8827: 400}


def test_circles_end(tmp_path: Path) -> None:
    block, _ = read_out(hostile(tmp_path, [GOOD, entry(0xA005, 4, 1, 42), entry(0x8769, 4, 1, 42)]))
    assert block is not None and len(block) < 300


def test_many_entries_of_one_large_place_are_no_bomb(tmp_path: Path) -> None:
    size = 2**20
    entries = [GOOD, *(entry(0x9000 + i, 7, size, 42) for i in range(900))]
    block, dropped = read_out(hostile(tmp_path, entries, bytes(size)))
    assert dropped == 1 and block is not None and len(block) < 5 * size


def test_more_entries_than_are_honest(tmp_path: Path) -> None:
    block, dropped = read_out(hostile(tmp_path, [GOOD] * 1001))
    assert dropped == 1 and block is not None and b"\x27\x88" not in block


def test_every_cut_and_flip_ends_in_a_block_or_none(tmp_path: Path) -> None:
    Pillow.fromarray(PIXELS[:1, :1]).save(tmp_path / "a.tif", exif=full_block())
    whole = (tmp_path / "a.tif").read_bytes()
    target = tmp_path / "b.tif"
    ends = set[bool]()
    for place in range(len(whole)):
        target.write_bytes(whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :])
        ends.add(read_out(target)[0] is None)
        os.truncate(target, place)
        ends.add(read_out(target)[0] is None)
    assert ends == {False, True}
