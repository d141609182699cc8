"""Folders are made where they can be, and said where not; links are not followed where files are our own."""

from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.places import make_folder, open_itself


def test_folders_are_made_unless_a_file_is_in_the_way(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c.png")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(SixteenfoldError, match=r"file/c\.png"):
        make_folder(tmp_path / "file" / "c.png")
    for place in ("file/c.png", "file/deep/c.png"):
        with pytest.raises(SixteenfoldError, match="part of its path is a file"):
            make_folder(tmp_path / place)


@pytest.mark.parametrize("mode", ["wb", "w+b", "a+b"])
def test_a_link_at_a_name_of_our_own_is_not_followed(mode: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    link = tmp_path / ".a.png.part"
    link.symlink_to("precious")
    with open_itself(link, mode) as file:
        file.write(b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not link.is_symlink() and link.read_bytes() == b"new"
