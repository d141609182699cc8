"""The picture files that a path stands for."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.files.ordinary import check_ordinary, unreadable
from sixteenfold.files.places import there
from sixteenfold.imaging import deepzoom
from sixteenfold.imaging.formats import is_unread_picture
from sixteenfold.imaging.read import is_picture


class Found(NamedTuple):
    """What a path stands for."""

    pictures: list[Path]
    """At least one; those of a folder in the order of names."""
    unread: list[Path]
    """Files of formats that are not read."""
    root: Path
    """What their paths are relative to: the folder itself, or a file's own folder."""
    closed: dict[Path, str]
    """Folders below that cannot be listed, each with a line that says why."""


def pictures_at(path: Path) -> Found:
    """The pictures that a path means: a file itself, whatever its name; of a folder those in it and below, by suffix.

    Hidden files and folders, links to folders, and the tiles of DeepZoom pictures are left out.

    Raises:
        SixteenfoldError: If nothing is there, or the system does not tell, or it is a pipe or a device, or no picture
            is found that can be read.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    check_ordinary(path, mode)
    if not stat.S_ISDIR(mode):
        return Found([path], [], path.parent, {})
    closed: dict[Path, str] = {}
    files = list(_files_in(path, closed))
    pictures, unread = list(filter(is_picture, files)), list(filter(is_unread_picture, files))
    if not pictures and closed:
        raise SixteenfoldError(first_few(list(closed.values())))
    if not pictures:
        held = f", but {kinds(unread)}; convert to PNG" if unread else "; check the name"
        raise SixteenfoldError(f"{path}: holds no picture in a supported format{held}")
    return Found(pictures, unread, path, closed)


def all_pictures_at(path: Path) -> Found:
    """`pictures_at`, for a set of which no part may be missing.

    Raises:
        SixteenfoldError: As `pictures_at`, and if a folder below cannot be listed.
    """
    found = pictures_at(path)
    if found.closed:
        raise SixteenfoldError(first_few(list(found.closed.values())))
    return found


def set_aside(paths: Sequence[Path], why: str, way_out: str) -> list[str]:
    """A line on pictures that a command left out: how many, why, one of them, what to do; no line if there are none.

    why: Words that fit one picture or many.
    """
    if not paths:
        return []
    such = ", such as" if paths[1:] else ":"
    return [f"{len(paths)} {why}{such} {paths[0]}; {way_out}"]


def passed_over(unread: Sequence[Path]) -> list[str]:
    """A line on the pictures in unsupported formats, if there are any."""
    return set_aside(unread, f"skipped, not in a supported format ({kinds(unread)})", "convert to PNG")


def kinds(paths: Iterable[Path]) -> str:
    """Count the files by suffix, such as "2 .bmp, 1 .svg"."""
    return ", ".join(f"{count} {suffix}" for suffix, count in Counter(path.suffix.lower() for path in paths).items())


def _files_in(folder: Path, closed: dict[Path, str]) -> Iterator[Path]:
    """The files that `pictures_at` chooses from; `closed` gets a line for each folder that cannot be listed."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        closed[folder] = f"{folder}: cannot be listed ({error.strerror}); change its permissions"
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # A link to a folder is not followed: it may lead back here. Tiles are one picture, not thousands.
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if not deepzoom.is_level(path):
                yield from _files_in(path, closed)
        elif (
            entry.is_file(follow_symlinks=False)  # asked of the entry: the folder may be one that can only be listed
            # A broken link counts as a missing picture, which is reported on reading.
            or (entry.is_symlink() and ((found := there(path)) is None or stat.S_ISREG(found.st_mode)))
        ):
            yield path
