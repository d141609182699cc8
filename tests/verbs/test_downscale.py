"""`downscale`: the exact x1/16 of files and folders."""

from pathlib import Path

import pytest
import torch

from sixteenfold.cli import main
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import downscale, round_to_8_bits

from ..conftest import write


def test_downscale_a_file_and_a_folder(tmp_path: Path) -> None:
    photo = write(tmp_path / "in" / "photo.png", 48, 40)
    expected = round_to_8_bits(downscale(to_tensor(read(photo).pixels)))
    assert main(["downscale", str(photo), "-o", str(tmp_path / "small.png")]) == 0
    assert torch.equal(to_tensor(read(tmp_path / "small.png").pixels), expected)
    assert main(["downscale", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert torch.equal(to_tensor(read(tmp_path / "out" / "photo.png").pixels), expected)


def test_downscale_skips_what_exists_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / "in" / name, 32, 32)
    mine = write(tmp_path / "out" / "a.png", 1, 5)
    words = ["downscale", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'b.png'}\n"
    assert said.err == f"1 skipped, already existing: {mine}; use --overwrite to replace\n"
    assert read(mine).pixels.shape == (1, 5, 3)
    assert main([*words, "--overwrite"]) == 0
    assert capsys.readouterr().err == ""
    assert read(mine).pixels.shape == (2, 2, 3)
