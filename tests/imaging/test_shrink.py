"""The x1/16 of a file is the x1/16 that training makes, in the type that the file had."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import resample, shrink
from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import downscale, resize, round_to_8_bits
from sixteenfold.imaging.shrink import shrink_file
from sixteenfold.imaging.write import rows_to_file


def picture(path: Path, height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    random = np.random.default_rng(0)
    pixels = random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    with rows_to_file(path, width, height, channels, dtype, Metadata()) as writer:
        writer.write(pixels)
    return pixels


def test_8_bits_are_what_training_sees(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png", 64, 96, 3, np.uint8)
    assert shrink_file(tmp_path / "a.png", tmp_path / "b.png") == ()
    small = read(tmp_path / "b.png").pixels
    assert small.shape == (4, 6, 3)
    assert torch.equal(to_tensor(small), round_to_8_bits(downscale(to_tensor(pixels))))


def test_16_bits_grey_and_odd_sides_stay(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png", 40, 17, 1, np.uint16)
    shrink_file(tmp_path / "a.png", tmp_path / "b.tif")
    small = read(tmp_path / "b.tif").pixels
    assert small.dtype == np.uint16
    assert small.shape == (3, 2, 1)
    assert np.array_equal(small, to_pixels(downscale(to_tensor(pixels)), np.uint16))


def test_only_strips_of_it_become_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", 1600, 16, 3, np.uint8)
    heights: list[int] = []

    def watched(image: torch.Tensor, size: tuple[int, int], *, scale: float) -> torch.Tensor:
        heights.append(image.shape[2])
        return resize(image, size, scale=scale)

    monkeypatch.setattr(resample, "resize", watched)
    shrink_file(tmp_path / "a.png", tmp_path / "b.png")
    assert max(heights) < 400


def test_colour_under_transparency_stays_out(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = (200, 100, 50, 255)  # the right half is transparent black
    with rows_to_file(tmp_path / "a.png", 64, 64, 4, np.uint8, Metadata()) as writer:
        writer.write(pixels)
    shrink_file(tmp_path / "a.png", tmp_path / "b.png")
    small = read(tmp_path / "b.png")
    assert small.alpha is not None
    assert small.alpha[0, 0] > 250
    assert small.alpha[0, 3] < 5
    assert np.abs(small.pixels.astype(int) - (200, 100, 50)).max() <= 1


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 32, 32, 4, np.uint16)
    said = shrink_file(tmp_path / "a.png", tmp_path / "b.jpg")
    assert len(said) == 2
    assert "alpha" in said[0]
    assert "16 bit" in said[1]


def test_a_text_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(SixteenfoldError, match=r"a\.png"):
        shrink_file(tmp_path / "a.png", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_memory_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", 32, 32, 3, np.uint8)

    def without_memory(image: object) -> None:
        raise MemoryError

    monkeypatch.setattr(shrink, "downscale_in_strips", without_memory)
    with pytest.raises(SixteenfoldError, match=r"a\.png: does not fit into memory; free some"):
        shrink_file(tmp_path / "a.png", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
