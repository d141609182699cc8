"""What read refuses and in which words, and odd files. What becomes of their pixels: test_decode and test_formats."""

import base64
import errno
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image as Pillow
from skimage import data

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import read as module
from sixteenfold.imaging.image import DEFAULT_RESOLUTION
from sixteenfold.imaging.read import is_picture, measure, read

PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[100:140, 180:240])  # 40 x 60


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def refused(path: Path, words: str, allow_huge: bool = False) -> str:
    with pytest.raises(SixteenfoldError, match=words) as caught:
        read(path, allow_huge=allow_huge)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and ";" in message
    return message


def png(width: int, height: int, depth: int = 8, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "no.png", "does not exist; check the name")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "no.png", "part of its path is a file")


def test_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder; give a picture file in it")


def test_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "not a regular file")


def test_unreadable(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    """As root nothing is unreadable, so the test steps down for the attempt."""
    path = public / "a.png"
    path.write_bytes(png(1, 1))
    path.chmod(0)
    with as_nobody:
        refused(path, "is not readable; change its permissions or its folder's")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_a_file_that_opens_and_cannot_be_read() -> None:
    refused(Path("/proc/self/mem"), "cannot be read: Input/output error; get the file again")


def test_a_disk_that_fails_in_the_midst_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    WRITERS["a.tif"](path)

    def failing(descriptor: int) -> tuple[bytes | None, int]:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(module, "exif_of", failing)
    refused(path, "cannot be read: Stale file handle; get the file again")


def test_what_chunks_before_the_pixels_of_a_png_announce(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def notes(*chunks: bytes, before: bytes = b"IDAT") -> tuple[str, ...]:
        whole = png(1, 1, rows=b"\0\x01\x02\x03")
        at = whole.index(before) - 4
        told = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (b"emTy", *chunks))
        path.write_bytes(whole[:at] + b"".join(told) + whole[at:])
        return read(path).notes

    one, three = (b"acTL" + struct.pack(">II", count, 0) for count in (1, 3))
    assert notes(three) == ("animated: the first of 3 is used",)
    assert notes() == notes(one) == notes(three, before=b"IEND") == ()
    linear, usual = (b"gAMA" + struct.pack(">I", gamma) for gamma in (100_000, 45_000))
    assert notes(linear) == ("gamma 1 not applied: the samples are taken as sRGB",)
    assert notes(usual) == notes(b"sRGB\0", linear) == ()


def test_text_renamed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("not a picture at all, but more than thirty-two letters of it")
    refused(path, "is not a picture in a known format .* whatever its name says")
    path.write_bytes(b"")
    refused(path, "is empty; get the file again")


def test_no_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(0, 0))
    refused(path, "cannot be read: ")


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, rows=b"\0\x01\x02\x03"))
    assert read(path).pixels.tolist() == [[[1, 2, 3]]]


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: Pillow.fromarray(PHOTO).save(path),
    "a.jpg": lambda path: Pillow.fromarray(PHOTO).save(path, quality=95),
    "progressive.jpg": lambda path: Pillow.fromarray(PHOTO).save(path, quality=95, progressive=True),
    "a.webp": lambda path: Pillow.fromarray(PHOTO).save(path),
    "a.tif": lambda path: Pillow.fromarray(PHOTO).save(path),
    "tiled.tif": lambda path: tifffile.imwrite(path, PHOTO, tile=(16, 16), compression="zlib"),
    "a.gif": lambda path: Pillow.fromarray(PHOTO).save(path),
    "a.avif": lambda path: Pillow.fromarray(PHOTO).save(path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9])
def test_cut_short(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert read(path).pixels.shape == PHOTO.shape
    whole = path.read_bytes()
    path.write_bytes(whole[: max(12, int(part * len(whole)))])
    refused(path, "cannot be read: .*; get the file again")


def outcome(path: Path) -> str:
    try:
        return "picture" if read(path).pixels.size else "no pixels"
    except SixteenfoldError as error:
        line = rf"{re.escape(str(path))}: [^\n]*; [^\n]*$"
        return "one line" if re.match(line, str(error)) else str(error)


@pytest.mark.parametrize("name", WRITERS)
def test_flipped_bits_end_in_a_picture_or_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(1)
    for _ in range(20):
        broken = whole.copy()
        broken[rng.integers(0, len(broken), 4)] ^= rng.integers(1, 256, 4).astype(np.uint8)
        path.write_bytes(broken.tobytes())
        assert outcome(path) in ("picture", "one line")


def test_warned_of_but_read(tmp_path: Path) -> None:
    """A flaw that libjpeg only warns of: stray bytes between two segments."""
    path = tmp_path / "a.jpg"
    Pillow.fromarray(PHOTO).save(path)
    whole = path.read_bytes()
    table = whole.index(b"\xff\xdb")
    path.write_bytes(whole[:table] + b"stray" + whole[table:])
    image = read(path)
    assert image.pixels.shape == PHOTO.shape
    assert len(image.notes) == 1 and image.notes[0].startswith("the decoder warned: ")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_ycbcr_that_libvips_takes_for_rgb_is_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(PHOTO).convert("YCbCr").save(path, compression=compression)
    with pytest.raises(SixteenfoldError, match=r"a\.tif: a YCbCr TIFF, .*; convert it to RGB"):
        read(path)


def test_ycbcr_within_jpeg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(PHOTO).save(path, compression="jpeg", quality=95)
    assert np.abs(read(path).pixels.astype(int) - PHOTO).mean() < 20


def test_unknown_tiff_tags_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    extra = [(65000, 3, 1, 7, True), (65001, 2, 4, "odd", True)]
    tifffile.imwrite(path, PHOTO, tile=(16, 16), compression="zlib", extratags=extra)
    image = read(path)
    assert np.array_equal(image.pixels, PHOTO) and image.notes == ()


def test_declared_size_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60_000, 60_000))
    refused(path, "declares 60000 x 60000 pixels, more than 178 megapixels")
    path.write_bytes(png(2**31 - 1, 2**31 - 1))
    refused(path, "declares|cannot be read")

    Pillow.fromarray(PHOTO).save(path)
    monkeypatch.setattr(module, "MAX_PIXELS", 2399)
    refused(path, "declares 60 x 40 pixels")
    assert read(path, allow_huge=True).pixels.shape == PHOTO.shape
    monkeypatch.setattr(module, "MAX_PIXELS", 2400)
    assert read(path).pixels.shape == PHOTO.shape


def test_measured_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any name, as it lies in the file, and by no other loader than for reading."""
    path = tmp_path / os.fsdecode(b"caf\xe9[1].png")
    tag = Pillow.Exif()
    tag[0x0112] = 6
    Pillow.fromarray(PHOTO).save(path, exif=tag.tobytes())
    assert measure(path) == (40, 60) and read(path).pixels.shape == (60, 40, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert measure(path) == (40, 60)
    monkeypatch.setattr(module, "MAX_PIXELS", 2399)
    with pytest.raises(SixteenfoldError, match=r"60 x 40 pixels.*; use --allow-huge \(in Python allow_huge=True\) if"):
        measure(path)
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"></svg>')
    with pytest.raises(SixteenfoldError, match="is not a picture in a known format"):
        measure(path)


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "odd [1],x=2.jpg"
    Pillow.fromarray(PHOTO).save(path, "PNG")
    image = read(path)
    assert np.array_equal(image.pixels, PHOTO)
    assert image.alpha is None and image.notes == ()
    assert image.metadata.xres == pytest.approx(DEFAULT_RESOLUTION, rel=1e-3)


def test_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Pillow.fromarray(PHOTO).save(path)
    assert np.array_equal(read(path).pixels, PHOTO)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for shade in (10, 200):
        path.write_bytes(png(2, 1, rows=bytes([0, *[shade] * 6])))
        assert read(path).pixels.tolist() == [[[shade] * 3] * 2]


def test_jpeg_xl_is_named_where_it_cannot_be_read(tmp_path: Path) -> None:
    if pyvips.type_find("VipsForeignLoad", "jxlload_source") != 0:
        pytest.skip("this libvips reads JPEG XL")
    path = tmp_path / "a.jxl"
    path.write_bytes(b"\xff\x0a" + b"\0" * 40)
    refused(path, "JPEG XL, which the installed libvips cannot read; convert it to PNG")


def test_jpeg_xl_is_read_by_what_its_loader_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the options of libvips's own, as the libvips that pip brings has none."""
    path = tmp_path / "a.jxl"
    path.write_bytes(b"\xff\x0a" + b"\0" * 40)

    grey = pyvips.Image.new_from_array([[7, 8]]).cast("uchar").copy(interpretation="b-w")
    call = pyvips.Operation.call

    def jxlload(source: pyvips.Source, *, access: str, fail_on: str) -> pyvips.Image:
        return grey

    def called(name: str, *given: Any, **options: Any) -> object:
        return jxlload(*given, **options) if name == "jxlload_source" else call(name, *given, **options)

    monkeypatch.setattr(pyvips, "type_find", lambda *names: 1)
    monkeypatch.setattr(pyvips.Operation, "call", called)
    assert read(path, allow_huge=True).pixels.tolist() == [[[7], [8]]]


# 16 x 16 pixels of (90, 120, 200), as pillow-heif writes them.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJp"
    "bG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAADIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAAB"
    "AAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEA"
    "AQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAU"
    "aXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlw"
    "bWEAAAAAAAAAAQABBYECAwWEAAAAOm1kYXQAAAAuKAGvEyFiY0D4EPdn/2+Owedlj+47HpzshHTA0iCAm0BIk11QCxYQgId2pVbc+A=="
)


def test_heic_is_read_or_named(tmp_path: Path) -> None:
    """The libvips that pip brings has no decoder for HEVC; a system's often has."""
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC)
    try:
        image = read(path)
    except SixteenfoldError:
        refused(path, "HEIC, which the installed libvips cannot read; convert it to PNG or JPEG")
    else:
        assert image.pixels.shape == (16, 16, 3) and np.abs(image.pixels - np.array([90.0, 120, 200])).max() < 5


def test_is_picture() -> None:
    assert is_picture(Path("A.JPG")) and is_picture(Path("x/b.tiff")) and is_picture(Path("c.avif"))
    assert not is_picture(Path("notes.txt")) and not is_picture(Path("png"))


def test_memory_that_libvips_lacks_is_not_blamed_on_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyvips.Image.black(4, 4).write_to_file(str(tmp_path / "a.png"))

    def without_memory(*_: object) -> None:
        raise pyvips.Error("unable to call black", "vips_tracked: out of memory -- size == 3MB")

    monkeypatch.setattr(module, "decode", without_memory)
    with pytest.raises(SixteenfoldError, match=r"a\.png: does not fit into memory; free some"):
        read(tmp_path / "a.png")


def test_samples_that_libvips_does_not_read_are_called_that(tmp_path: Path) -> None:
    pyvips.Image.black(4, 4).cast("double").write_to_file(str(tmp_path / "a.tif"))
    with pytest.raises(SixteenfoldError, match=r"a\.tif: has samples of a type .*; save it with 8 or 16 bits"):
        read(tmp_path / "a.tif")


def test_lab_of_8_bits_is_not_called_damaged(tmp_path: Path) -> None:
    Pillow.merge("LAB", [Pillow.new("L", (8, 8), 100)] * 3).save(tmp_path / "lab.tif")
    with pytest.raises(SixteenfoldError, match=r"lab\.tif: Lab with 8 bits, which .*; convert it to RGB$"):
        read(tmp_path / "lab.tif")


@pytest.mark.parametrize("transparent", [False, True])
def test_an_animation_has_alpha_only_where_it_shows(tmp_path: Path, transparent: bool) -> None:
    frames = [Pillow.new("RGBA", (8, 8), (200, shade, 0, 0 if transparent else 255)) for shade in (10, 90)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read(tmp_path / "a.gif").alpha is not None) == transparent
