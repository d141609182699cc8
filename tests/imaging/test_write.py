"""Whole or not at all: what write refuses, cleans up and streams. Kept samples: test_formats."""

import errno
import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from skimage import data

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import encode, rows as rows_module, scratch, write as write_module
from sixteenfold.imaging.formats import Format, check_format
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.write import rows_to_file

PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[100:140, 180:240])  # 40 x 60
SUFFIXES = [".png", ".tif", ".jpg", ".webp", ".avif"]


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def write(target: Path, pixels: np.ndarray = PHOTO, rows: int = 13) -> None:
    height, width, channels = pixels.shape
    with rows_to_file(target, width, height, channels, pixels.dtype, Metadata()) as writer:
        for top in range(0, height, rows):
            writer.write(pixels[top : top + rows])


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refused(target: Path, words: str, pixels: np.ndarray = PHOTO) -> None:
    with pytest.raises(SixteenfoldError, match=words) as caught:
        write(target, pixels)
    message = str(caught.value)
    assert message.startswith(f"{target}: ") and "\n" not in message and ";" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_target_appears_alone_and_replaces(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"odd [1],Q=2{suffix}"
    target.write_text("old")
    with rows_to_file(target, 60, 40, 3, np.uint8, Metadata()) as writer:
        writer.write(PHOTO[:10])
        assert sorted(names(tmp_path)) == sorted([target.name, f".{target.name}.rows"])
        assert target.read_text() == "old"
        writer.write(PHOTO[10:])
    assert names(tmp_path) == [target.name]
    assert read(target).pixels.shape == PHOTO.shape


def test_scratch_is_plain_rows(tmp_path: Path) -> None:
    deep = PHOTO.astype(np.uint16) * 200
    with rows_to_file(tmp_path / "a.png", 60, 40, 3, np.uint16, Metadata()) as writer:
        writer.write(deep[:30])
        writer.write(deep[30:])
        writer.flush()
        assert (tmp_path / ".a.png.rows").read_bytes()[scratch.HEADER_BYTES :] == deep.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (40, 7, 3), (9, 3, 4), (700, 900, 3)])
def test_finished_scratch_is_a_tiff(tmp_path: Path, shape: tuple[int, int, int], dtype: type) -> None:
    """As tifffile reads it, with one strip and with several."""
    rows = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    path = tmp_path / "rows"
    path.write_bytes(scratch.header(shape, rows.dtype) + rows.tobytes() + scratch.index(shape, rows.dtype))
    read_back = tifffile.imread(path)
    assert read_back.dtype == rows.dtype
    assert np.array_equal(read_back.reshape(shape), rows)


def test_bands_of_any_height_and_layout(tmp_path: Path) -> None:
    for rows in (1, 7, 40):
        write(tmp_path / "a.png", PHOTO, rows)
        assert np.array_equal(read(tmp_path / "a.png").pixels, PHOTO)
    write(tmp_path / "a.png", PHOTO[::-1, ::-1])
    assert np.array_equal(read(tmp_path / "a.png").pixels, PHOTO[::-1, ::-1])


def test_the_second_file_of_a_name_is_not_the_first(tmp_path: Path) -> None:
    """libvips would remember the scratch file by its name."""
    for shade in (10, 200):
        write(tmp_path / "a.png", np.full((4, 5, 1), shade, np.uint8))
        assert (read(tmp_path / "a.png").pixels == shade).all()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.png"
    target.write_text("old")

    def interrupted() -> None:
        with rows_to_file(target, 60, 40, 3, np.uint8, Metadata()) as writer:
            writer.write(PHOTO[:10])
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == ["a.png"] and target.read_text() == "old"


def test_rows_after_the_block_are_a_value_error(tmp_path: Path) -> None:
    with rows_to_file(tmp_path / "a.png", 60, 40, 3, np.uint8, Metadata()) as writer:
        writer.write(PHOTO[:39])
        writer.write(PHOTO[39:])
    with pytest.raises(ValueError):
        writer.write(PHOTO[:0])
    assert names(tmp_path) == ["a.png"]


def test_impossible_writers_are_value_errors(tmp_path: Path) -> None:
    for width, channels in ((0, 3), (1, 5)):
        block = rows_to_file(tmp_path / "a.png", width, 1, channels, np.uint8, Metadata())
        with pytest.raises(ValueError, match="no picture"):
            block.__enter__()
    with pytest.raises(ValueError, match="int32"):
        check_format(tmp_path / "a.png", 1, 1, alpha=False, dtype=np.int32)


def test_folder_as_target(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    refused(tmp_path / "a.png", "is a folder; give a file in it")
    assert names(tmp_path) == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names")
@pytest.mark.parametrize("suffix", [".png", ".dzi"])
def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    for target in (pipe, device):
        refused(target, "is not a regular file, so it is not replaced; choose another path")
    assert pipe.is_fifo() and device.is_symlink()
    assert sorted(names(tmp_path)) == [device.name, pipe.name]


def test_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "no" / "a.png", "no is not a folder; create it first")


def test_unwritable_folder(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    """As root every folder is writable, so the test steps down for the attempt."""
    public.chmod(0o555)
    with as_nobody:
        refused(public / "a.png", "is not writable|cannot be written")
    assert names(public) == []


def test_too_long_a_name(tmp_path: Path) -> None:
    for length in (250, 300):
        refused(tmp_path / f"{'n' * length}.png", "the name is too long; choose a shorter one")


def test_no_room_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * PHOTO.nbytes - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)  # pyright: ignore[reportUnknownLambdaType]
    refused(tmp_path / "a.png", r"needs up to 0\.0 MB while it is written, and .* has 0\.0 MB free; make room")
    write(tmp_path / "a.jpg")


def test_disk_that_fills_while_rows_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: object, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(path: Path, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(FullDisk(path, mode), buffer_size=64)

    monkeypatch.setattr(rows_module, "open_itself", opened)
    refused(tmp_path / "a.png", "cannot be written: the disk is full; make room")
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_that_cannot_grow_while_encoding(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real failure of write(2): the system's limit on the size of a file."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)

    def limited(rows: BinaryIO, metadata: Metadata, form: Format, target: BinaryIO, **options: bool) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            encode.encode(rows, metadata, form, target, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(write_module, "encode", limited)
    way_out = "raise the limit" if suffix == ".tif" else "check the free disk space"
    refused(tmp_path / f"a{suffix}", f"cannot be written: .*; {way_out}", noise)
    assert names(tmp_path) == []


def test_formats_too_small_name_the_others() -> None:
    with pytest.raises(
        SixteenfoldError, match=r"a\.jpg: 70000 x 9 .* JPEG, whose limit is 65,535 .*; save as \.png or \.tif or \.dzi$"
    ):
        check_format(Path("a.jpg"), 70_000, 9, alpha=False, dtype=np.uint8)
    with pytest.raises(SixteenfoldError, match=r"save as \.png or \.tif or \.jpg or \.avif or \.dzi$"):
        check_format(Path("a.webp"), 9, 16_384, alpha=False, dtype=np.uint8)


def test_too_large_is_refused_before_anything(tmp_path: Path) -> None:
    with (
        pytest.raises(SixteenfoldError, match="too large for WebP"),
        rows_to_file(tmp_path / "a.webp", 20_000, 1, 3, np.uint8, Metadata()),
    ):
        pytest.fail("entered")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.pgn", r"'\.pgn'; did you mean '\.png'\?"),
        ("a.jpgg", r"mean '\.jpg'\?"),
        ("a", "without a suffix; choose"),
    ],
)
def test_unknown_suffix_names_the_nearest(name: str, words: str) -> None:
    with pytest.raises(SixteenfoldError, match=words):
        check_format(Path(name), 1, 1, alpha=False, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "size", "kept"),
    [("a.jpg", 60_000, True), ("a.jpg", 60_001, False), ("a.png", 60_001, True), ("a.dzi", 9, False)],
)
def test_blocks_that_a_format_does_not_keep_are_said(tmp_path: Path, name: str, size: int, kept: bool) -> None:
    metadata = Metadata(xmp=b"<x>".ljust(size, b"x"))
    notes = check_format(Path(name), 60, 40, alpha=False, dtype=np.uint8, metadata=metadata)
    assert (notes == ()) == kept and (kept or "XMP not kept" in notes[0])
    if name != "a.dzi":
        with rows_to_file(tmp_path / name, 60, 40, 3, np.uint8, metadata) as writer:
            writer.write(PHOTO)
        assert (read(tmp_path / name).metadata.xmp == metadata.xmp) == kept


@pytest.mark.parametrize(("name", "kept"), [("a.webp", False), ("a.avif", False), ("a.jpg", True), ("a.png", True)])
def test_a_grey_profile_is_said_to_be_lost_where_grey_becomes_rgb(name: str, kept: bool) -> None:
    """Grey without one is not said to: it looks the same."""
    for block, lost in ((b"GRAY", not kept), (b"RGB ", False)):
        metadata = Metadata(icc=block.rjust(20))
        notes = check_format(Path(name), 60, 40, alpha=False, dtype=np.uint8, metadata=metadata)
        assert bool(notes) == lost and all("ICC profile not kept, as grey becomes RGB" in note for note in notes)


@pytest.mark.parametrize(("name", "size"), [("a.jpg", 65_000), ("a.png", 65_000), ("a.tif", 500_000)])
def test_as_much_exif_as_is_promised_is_kept(tmp_path: Path, name: str, size: int) -> None:
    entries = Pillow.Exif()
    entries.get_ifd(0x8769)[0x9286] = b"n" * (size - 100)
    exif = entries.tobytes().ljust(size, b"\0")
    metadata = Metadata(exif=exif)
    assert check_format(Path(name), 60, 40, alpha=False, dtype=np.uint8, metadata=metadata) == ()
    with rows_to_file(tmp_path / name, 60, 40, 3, np.uint8, metadata) as writer:
        writer.write(PHOTO)
    found = read(tmp_path / name).metadata.exif
    assert found is not None and b"n" * (size - 100) in found


def test_losses_are_said() -> None:
    said = check_format(Path("a.jpg"), 9, 9, alpha=True, dtype=np.uint16)
    assert said == ("JPEG: alpha flattened on white", "JPEG: 16 bit reduced to 8 bit")
    assert check_format(Path("a.PNG"), 9, 9, alpha=True, dtype=np.uint16) == ()


def test_reducing_rounds_halves_up_and_clips(tmp_path: Path) -> None:
    shades = np.array([[[-1.0], [0.0], [0.5 / 65535], [0.4999], [1.0], [2.0]]], np.float32)
    write(tmp_path / "a.png", shades)
    assert read(tmp_path / "a.png").pixels.ravel().tolist() == [0, 0, 1, 32761, 65535, 65535]


def test_bigtiff_when_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes()[:3] == b"II*"
    monkeypatch.setattr(encode, "BIGTIFF_BYTES", PHOTO.nbytes - 1)
    write(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes()[:3] == b"II+"
    assert np.array_equal(read(tmp_path / "a.tif").pixels, PHOTO)


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
height, target = int(sys.argv[1]), Path(sys.argv[2])
band = np.tile(np.arange(4096, dtype=np.uint8)[:, None], (64, 1, 3))
with rows_to_file(target, 4096, height, 3, np.uint8, Metadata()) as writer:
    for _ in range(height // 64):
        writer.write(band)
# Not getrusage, which on Linux begins with what the parent process held.
print(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024)
"""


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_memory_does_not_grow_with_the_picture(tmp_path: Path, suffix: str) -> None:
    """Six times the rows, 60 MB more of samples: not 15 MB more of memory."""

    def peak(height: int) -> int:
        command = [sys.executable, "-c", MEMORY, str(height), str(tmp_path / f"a{suffix}")]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert peak(6144) - peak(1024) < 15
