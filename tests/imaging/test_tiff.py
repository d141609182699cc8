"""TIFF as we write it: what other programs read out of it, and the threads behind it. Metadata: test_formats."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image as Pillow

from sixteenfold.errors import NoMemory
from sixteenfold.imaging import tiff
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file


def write(path: Path, pixels: np.ndarray, metadata: Metadata | None = None) -> Path:
    height, width, channels = pixels.shape
    with rows_to_file(path, width, height, channels, pixels.dtype, metadata or Metadata()) as writer:
        writer.write(pixels)
    return path


@pytest.mark.parametrize("size", [(1, 1), (256, 512), (257, 255), (3, 5000), (700, 300)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_other_programs_read_every_sample(tmp_path: Path, dtype: type, channels: int, size: tuple[int, int]) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (*size, channels))
    pixels = (samples * 257).astype(np.uint16) if dtype == np.uint16 else samples.astype(dtype)
    path = write(tmp_path / "a.tif", pixels)
    by_libvips = pyvips.Image.new_from_file(str(path)).numpy()
    assert by_libvips.dtype == dtype and np.array_equal(by_libvips.reshape(pixels.shape), pixels)
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        assert page.extrasamples == ((2,) if channels in (2, 4) else ())  # alpha, not multiplied in
        if dtype != np.float32:  # for which it wants a further library
            assert np.array_equal(page.asarray().reshape(pixels.shape), pixels)
    if dtype == np.uint8 or (dtype == np.uint16 and channels == 1):  # Pillow knows no more
        with Pillow.open(path) as seen:
            assert np.array_equal(np.asarray(seen).reshape(pixels.shape), pixels)


def test_nothing_is_said_that_nobody_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((3, 4, 3), np.uint8), Metadata(xres=300 / 25.4, yres=150 / 25.4))
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        assert not {"ImageDescription", "Software", "DateTime"} & {tag.name for tag in page.tags}
        # Exactly, though libvips's 300 to the inch is 300.00001.
        assert (page.tags["XResolution"].value, page.tags["YResolution"].value) == ((300, 1), (150, 1))


def test_no_more_tiles_are_taken_than_is_said() -> None:
    """So memory does not grow with the picture, however slowly the file takes what is made."""
    taken: list[int] = []

    def tiles() -> Iterator[np.ndarray]:
        for number in range(50):
            taken.append(number)
            yield np.full((1, 1, 1), number, np.uint8)

    with ThreadPool(2) as pool:
        compressed = tiff._compressed(tiles(), pool, ahead=5)
        first = next(compressed)
        assert len(taken) == 6
        made = [first, *compressed]
    expected = [tiff._deflated(np.full((1, 1, 1), number, np.uint8)) for number in range(50)]
    assert made == expected
    assert [*tiff._compressed(tiles(), None, ahead=5)] == expected


def test_what_goes_wrong_in_a_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(tile: np.ndarray) -> bytes:
        raise MemoryError

    monkeypatch.setattr(tiff, "_deflated", failing)
    with pytest.raises(NoMemory):
        write(tmp_path / "a.tif", np.zeros((600, 600, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("started", [0, 1, 2])
def test_where_no_more_threads_start_the_file_is_the_same(
    started: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from Python 3.12 on when the program ends, and wherever a system allows so many and no more."""
    pixels = np.random.default_rng(2).integers(0, 256, (300, 520, 3), np.uint8)
    write(tmp_path / "with.tif", pixels)
    start, begun = threading.Thread.start, list[threading.Thread]()

    def refused(thread: threading.Thread) -> None:
        if len(begun) == started:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(tiff, "_cores", lambda: 3)
    monkeypatch.setattr(threading.Thread, "start", refused)
    write(tmp_path / "without.tif", pixels)
    monkeypatch.undo()
    assert len(begun) == started
    assert (tmp_path / "with.tif").read_bytes() == (tmp_path / "without.tif").read_bytes()


ENDING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
block = rows_to_file(Path(sys.argv[1]), 2000, 2000, 3, np.uint8, Metadata())
block.__enter__().write(np.zeros((2000, 2000, 3), np.uint8))
ThreadPoolExecutor(1).submit(block.__exit__, None, None, None)
"""


def test_a_program_that_ends_meanwhile_still_writes_the_file(tmp_path: Path) -> None:
    """As after two Ctrl-C: the main thread has gone, the one that encodes has not, and Python may start no others."""
    subprocess.run([sys.executable, "-c", ENDING, str(tmp_path / "a.tif")], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
