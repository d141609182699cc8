"""Folders are made where they can be, and said where not."""

from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.places import make_folder


def test_folders_are_made_unless_a_file_is_in_the_way(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c.png")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(SixteenfoldError, match=r"file/c\.png"):
        make_folder(tmp_path / "file" / "c.png")
    for place in ("file/c.png", "file/deep/c.png"):
        with pytest.raises(SixteenfoldError, match="part of its path is a file"):
            make_folder(tmp_path / place)
