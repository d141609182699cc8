"""Which files of a folder are its pictures: links, loops, and folders that are closed."""

from contextlib import AbstractContextManager
from pathlib import Path

from sixteenfold.imaging.folders import pictures_at
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
        # Nothing of a folder is taken where one within it is closed, and that is said of the whole.
        for path, said in (
            (public / "shut" / "b.png", "is not readable; change its permissions or its folder's"),
            (public / "shut", "cannot be listed (Permission denied); change its permissions"),
            (public, f"nothing in it is used, because {public}/shut cannot be listed (Permission denied); change"),
        ):
            assert plan_jobs([path], public / "c.png", ending="").refused[path].startswith(f"{path}: {said}")


def test_links_to_files_are_followed_and_those_to_folders_not(tmp_path: Path) -> None:
    touch(tmp_path, "album/a.png", "else/b.png")
    (tmp_path / "album" / "b.png").symlink_to(tmp_path / "else" / "b.png")
    (tmp_path / "album" / "circle").symlink_to(tmp_path / "album")
    (tmp_path / "album" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "album" / "loop.png").symlink_to("loop.png")
    found = pictures_at(tmp_path / "album").pictures
    assert [path.name for path in found] == ["a.png", "b.png", "gone.png", "loop.png"]  # two fail when they are read
