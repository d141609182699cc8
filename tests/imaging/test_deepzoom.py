"""DeepZoom folders: whole or not at all, like a file, and never taken for a folder of photographs."""

import errno
import os
import resource
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image as Pillow
from skimage import data

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import deepzoom
from sixteenfold.imaging.folders import pictures_at
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.jobs import plan_jobs
from sixteenfold.imaging.write import rows_to_file

PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[:400, :300])


def write(target: Path, pixels: np.ndarray = PHOTO) -> None:
    height, width, channels = pixels.shape
    with rows_to_file(target, width, height, channels, pixels.dtype, Metadata()) as writer:
        writer.write(pixels)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put_together(target: Path) -> np.ndarray:
    """The largest level's tiles, as a viewer lays them."""
    head = ElementTree.parse(target).getroot()
    inside, overlap = int(head.attrib["TileSize"]), int(head.attrib["Overlap"])
    width, height = (int(head[0].attrib[side]) for side in ("Width", "Height"))
    level = target.with_name(f"{target.stem}_files") / str((max(width, height) - 1).bit_length())
    whole = np.zeros((height, width, 3), np.uint8)
    for path in level.iterdir():
        column, row = map(int, path.stem.split("_"))
        with Pillow.open(path) as tile:
            pixels = np.asarray(tile.convert("RGB"))
        top, left = row * inside - overlap * (row > 0), column * inside - overlap * (column > 0)
        whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def test_the_tiles_make_the_picture(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi")
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert names(tmp_path / "a_files") == sorted(map(str, range(10)))
    assert np.abs(put_together(tmp_path / "a.dzi").astype(int) - PHOTO).mean() < 3
    with Pillow.open(tmp_path / "a_files" / "0" / "0_0.jpg") as smallest:
        assert smallest.size == (1, 1)


def test_an_older_picture_is_replaced_with_all_its_tiles(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi")
    write(tmp_path / "a.dzi", PHOTO[:9, :7])
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert put_together(tmp_path / "a.dzi").shape == (9, 7, 3)
    assert names(tmp_path / "a_files") == ["0", "1", "2", "3", "4"]


def test_until_the_tiles_are_whole_nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file appears after the folder, so a program that stops anywhere leaves no file without its tiles."""
    seen: list[list[str]] = []
    rename = Path.rename

    def watched(self: Path, goal: Path) -> Path:
        seen.append([name for name in names(tmp_path) if not name.startswith(".")])
        return rename(self, goal)

    monkeypatch.setattr(Path, "rename", watched)
    write(tmp_path / "a.dzi")
    assert seen == [[], ["a_files"]]
    seen.clear()
    write(tmp_path / "a.dzi")
    assert seen == [["a.dzi", "a_files"], ["a_files"], [], ["a_files"]]


def failing(number: int, error: BaseException) -> Callable[[Path, Path], Path]:
    """A rename that does what it should, and the given time raises instead."""
    count, renamed = iter(range(1, 100)), Path.rename

    def rename(self: Path, goal: Path) -> Path:
        if next(count) == number:
            raise error
        return renamed(self, goal)

    return rename


@pytest.mark.parametrize(("older", "number"), [(True, 1), (True, 2), (True, 3), (True, 4), (False, 1), (False, 2)])
def test_a_rename_that_is_refused_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool, number: int
) -> None:
    target = tmp_path / "a.dzi"
    if older:
        write(target, PHOTO[:9, :7])
    monkeypatch.setattr(Path, "rename", failing(number, OSError(errno.EIO, "Input/output error")))
    with pytest.raises(SixteenfoldError, match="cannot be written: Input/output error"):
        write(target)
    assert names(tmp_path) == (["a.dzi", "a_files"] if older else [])
    if older:
        assert put_together(target).shape == (9, 7, 3)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_killed_between_the_renames_no_picture_is_there_and_the_older_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    target = tmp_path / "a.dzi"
    write(target, PHOTO[:9, :7])
    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", failing(number, KeyboardInterrupt()))
        killed.setattr(deepzoom, "clear_away", lambda *_: None)  # nobody tidies up after a kill
        with pytest.raises(KeyboardInterrupt):
            write(target)
    assert not target.exists()  # so that no run takes it for done
    with pytest.raises(RuntimeError), rows_to_file(target, 300, 400, 3, np.uint8, Metadata()):
        raise RuntimeError
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert put_together(target).shape == (9, 7, 3)


def test_all_is_on_the_disk_before_it_is_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync, place = os.fsync, deepzoom.put_in_place

    def watched(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def placed(folder: Path, target: Path) -> None:
        assert sorted(synced) == sorted(path.stat().st_ino for path in folder.rglob("*") if path.is_file())
        place(folder, target)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(deepzoom, "put_in_place", placed)
    write(tmp_path / "a.dzi", PHOTO[:9, :7])
    assert len(synced) == 6


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".a.dzi.part" / "picture_files" / "0").mkdir(parents=True)
    (tmp_path / "a_files" / "0").mkdir(parents=True)  # stopped between the two renames
    (tmp_path / "a_files" / "0" / "0_0.jpg").touch()
    write(tmp_path / "a.dzi", PHOTO[:2, :2])
    assert names(tmp_path) == ["a.dzi", "a_files"] and names(tmp_path / "a_files") == ["0", "1"]


def test_numbered_folders_of_photographs_are_no_tiles(tmp_path: Path) -> None:
    photo = tmp_path / "trip_files" / "0" / "beach.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    assert not deepzoom.holds_tiles(tmp_path / "trip_files")
    with pytest.raises(SixteenfoldError, match="holds something else"):
        write(tmp_path / "trip.dzi", PHOTO[:2, :2])
    assert photo.exists()


def test_a_stopped_run_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "a.dzi"
    with rows_to_file(target, 300, 400, 3, np.uint8, Metadata(), "settings") as writer:
        writer.write(PHOTO[:100])
        writer.flush()
        rows = (tmp_path / ".a.dzi.rows").read_bytes()
        writer.write(PHOTO[100:])
    whole = put_together(target)
    target.unlink()
    (tmp_path / ".a.dzi.rows").write_bytes(rows)
    (tmp_path / ".a.dzi.key").write_text("settings")
    with rows_to_file(target, 300, 400, 3, np.uint8, Metadata(), "settings") as writer:
        assert writer.written == 100
        writer.write(PHOTO[100:])
    assert np.array_equal(put_together(target), whole)
    assert names(tmp_path) == ["a.dzi", "a_files"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a_files").mkdir()
    (tmp_path / "a_files" / "letter.txt").write_text("dear")
    said = "a_files, which exists and holds something else; move .*a_files/letter.txt away or choose another name"
    with pytest.raises(SixteenfoldError, match=said):
        write(tmp_path / "a.dzi")
    assert names(tmp_path) == ["a_files"] and names(tmp_path / "a_files") == ["letter.txt"]


@pytest.mark.parametrize("other", ["Thumbs.db", ".DS_Store", "0/beach.jpg", "1/notes.txt", "1/beach.jpg", "1/.hidden"])
def test_a_file_among_the_tiles_of_an_older_picture_is_named(tmp_path: Path, other: str) -> None:
    write(tmp_path / "a.dzi", PHOTO[:2, :2])
    stray = tmp_path / "a_files" / other
    stray.touch()
    with pytest.raises(SixteenfoldError) as caught:
        write(tmp_path / "a.dzi")
    assert str(caught.value).endswith(f"holds something else; move {stray} away or choose another name")
    stray.unlink()
    write(tmp_path / "a.dzi")


def test_a_file_among_the_tiles_makes_no_photographs_of_them(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi", PHOTO[:2, :2])
    (tmp_path / "a.dzi").unlink()
    (tmp_path / "a_files" / "1" / "Thumbs.db").touch()
    assert deepzoom.is_level(tmp_path / "a_files" / "1")


def test_a_folder_without_a_first_level_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a_files" / "7").mkdir(parents=True)
    with pytest.raises(SixteenfoldError, match="holds something else; choose another name"):
        write(tmp_path / "a.dzi")
    assert names(tmp_path / "a_files") == ["7"]


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.dzi", PHOTO[:2, :2])
    save = deepzoom.save

    def limited(image: pyvips.Image, folder: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            save(image, folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(deepzoom, "save", limited)
    with pytest.raises(SixteenfoldError, match="cannot be written"):
        write(tmp_path / "a.dzi")
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert put_together(tmp_path / "a.dzi").shape == (2, 2, 3)


def test_any_name_will_do(tmp_path: Path) -> None:
    target = tmp_path / os.fsdecode(b"\xff odd [1],Q=2.zip.dzi")
    write(target, PHOTO[:2, :2])
    assert names(tmp_path) == sorted([target.name, f"{target.stem}_files"])


@pytest.mark.parametrize("odd", [".DS_Store", "Thumbs.db", "12/thumbnail.png"])
def test_tiles_are_no_photographs_whatever_lies_among_them(tmp_path: Path, odd: str) -> None:
    """Other programs' pictures too, which may begin at a larger level."""
    write(tmp_path / "b.png", PHOTO[:2, :2])
    write(tmp_path / "c.dzi", PHOTO[:300])
    (tmp_path / "c_files" / odd).parent.mkdir(exist_ok=True)
    (tmp_path / "c_files" / odd).touch()
    shutil.rmtree(tmp_path / "c_files" / "0")
    assert pictures_at(tmp_path).pictures == [tmp_path / "b.png"]


def test_photographs_beside_a_deepzoom_picture_are_no_tiles(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi", PHOTO[:2, :2])
    photographs = [tmp_path / "a_files" / name for name in ("2024/beach.jpg", "beach.jpg", "deep/1/beach.jpg")]
    for photo in photographs:
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.touch()
    assert pictures_at(tmp_path).pictures == photographs
    # Who names a tile means it.
    tile = tmp_path / "a_files" / "0" / "0_0.jpg"
    assert pictures_at(tile).pictures == pictures_at(tile.parent).pictures == [tile]


def test_tiles_are_no_photographs(tmp_path: Path) -> None:
    write(tmp_path / "b.png")
    write(tmp_path / "b_x16.dzi")
    jobs = plan_jobs([tmp_path], None, ending="_x16", suffix=".dzi").jobs
    assert [job.source.name for job in jobs] == ["b.png"]
    (job,) = plan_jobs([tmp_path / "b.png"], tmp_path / "one.dzi", ending="_x16").jobs
    assert job.target == tmp_path / "one.dzi"
