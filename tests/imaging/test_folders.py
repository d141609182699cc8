"""Which files of a folder are its pictures: links, loops, and folders that are closed."""

import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.folders import all_pictures_at, pictures_at
from sixteenfold.imaging.jobs import plan_jobs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    assert pictures_at(tmp_path / "in").pictures == [tmp_path / "in" / "a.png"]


def test_files_in_a_folder_that_may_only_be_listed(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    """As root every folder is open, so the test steps down for the attempt."""
    touch(public, "listed/a.png", "shut/b.png")
    (public / "listed").chmod(0o444)
    (public / "shut").chmod(0)
    with as_nobody:
        assert pictures_at(public / "listed").pictures == [public / "listed" / "a.png"]
        with pytest.raises(SixteenfoldError, match=r"b\.png: is not readable; change its permissions or its folder's$"):
            pictures_at(public / "shut" / "b.png")


def test_a_closed_folder_is_told_and_the_rest_is_used(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    touch(public, "a.png", "shut/b.png", "z/c.png")
    shut = public / "shut"
    shut.chmod(0)
    with as_nobody:
        plan = plan_jobs([public], public / "out", ending="")
        assert [job.source for job in plan.jobs] == [public / "a.png", public / "z" / "c.png"]
        assert plan.refused == {shut: f"{shut}: cannot be listed (Permission denied); change its permissions"}
        # A set that is measured or trained on would lack a part; and a folder without pictures may have some there.
        for nothing in (partial(all_pictures_at, public), partial(pictures_at, shut)):
            with pytest.raises(SixteenfoldError, match=f"^{shut}: cannot be listed"):
                nothing()


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev")
def test_a_device_is_no_picture() -> None:
    with pytest.raises(SixteenfoldError, match=r"^/dev/null: is not a regular file"):
        pictures_at(Path("/dev/null"))


def test_links_to_files_are_followed_and_those_to_folders_not(tmp_path: Path) -> None:
    touch(tmp_path, "album/a.png", "else/b.png")
    (tmp_path / "album" / "b.png").symlink_to(tmp_path / "else" / "b.png")
    (tmp_path / "album" / "circle").symlink_to(tmp_path / "album")
    (tmp_path / "album" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "album" / "loop.png").symlink_to("loop.png")
    found = pictures_at(tmp_path / "album").pictures
    assert [path.name for path in found] == ["a.png", "b.png", "gone.png", "loop.png"]  # two fail when they are read
