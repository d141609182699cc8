"""Which photographs a run trains on: found and measured once, kept in the run folder."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.files.whole import write_whole
from sixteenfold.imaging.folders import all_pictures_at, passed_over, set_aside
from sixteenfold.imaging.jobs import results_among
from sixteenfold.imaging.read import is_picture, measure
from sixteenfold.upscaling.picture import ENDINGS

SAMPLES = "samples"
"""Folder of a run's sheets of validation pictures."""
CROP = "a crop with its surroundings (a smaller patch needs fewer)"


@dataclass(frozen=True)
class Entry:
    """A photograph, not yet decoded."""

    path: Path
    height: int
    """Pixels; turned by EXIF, height and width change places."""
    width: int

    @property
    def size(self) -> int:
        """Bytes in memory, three a pixel."""
        return 3 * self.height * self.width


@dataclass(frozen=True)
class Index:
    """The photographs that a crop fits in, in a fixed order, and what was left out."""

    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]
    """A line for each picture that is left out, with the reason."""
    earlier: tuple[Path, ...] = ()
    """Files that were left out as results of `upscale` or samples of a run, by their names and places."""
    unread: tuple[Path, ...] = ()
    """Files that were passed over, pictures by their names, of formats that are not read."""

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError if that is not possible."""
        rows = [[str(entry.path), entry.height, entry.width] for entry in self.entries]
        earlier, unread = (list(map(str, paths)) for paths in (self.earlier, self.unread))
        content = {"photographs": rows, "skipped": self.skipped, "earlier": earlier, "unread": unread}
        write_whole(path, (json.dumps(content, indent=0) + "\n").encode())

    def elsewhere(self, folders: Sequence[Path]) -> list[str]:
        """A line on the photographs that are not in these folders, as a resumed run may be given others; or none."""
        given: set[Path] = set()
        for folder in folders:
            with suppress(SixteenfoldError):  # a resumed run does not need them
                given.update(map(_real, _pictures_of(folder)[0]))
        return set_aside(
            [entry.path for entry in self.entries if entry.path not in given],
            "trained on though not in the folders given",
            "a resumed run keeps to its photographs, unless its photographs.json is removed",
        )

    def set_aside(self) -> list[str]:
        """A line on each kind of files that were not looked at."""
        return [
            *set_aside(self.earlier, "left out, named like what upscale or train makes", "name one itself to use it"),
            *passed_over(self.unread),
        ]

    @staticmethod
    def load(path: Path) -> "Index":
        """Read what `save` wrote.

        Raises:
            SixteenfoldError: If the file is missing or something else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            entries = tuple(
                Entry(Path(name), int(height), int(width)) for name, height, width in content["photographs"]
            )
            if not entries:
                raise ValueError("no photograph")
            earlier, unread = (tuple(map(Path, content[key])) for key in ("earlier", "unread"))
            return Index(entries, tuple(map(str, content["skipped"])), earlier, unread)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise SixteenfoldError(
                f"{path}: not the run's index of photographs ({error!r}); remove it, "
                "then the same command with --resume makes it anew from --hr"
            ) from None


def told_skipped(skipped: Sequence[str]) -> list[str]:
    """A line on the pictures that cannot be used: how many, and why the first cannot; no line if there are none."""
    pictures = "picture" if len(skipped) == 1 else "pictures"
    return [f"{len(skipped)} {pictures} skipped: {first_few(skipped)}"] if skipped else []


def find_pictures(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Picture files in the folders (`imaging.folders.all_pictures_at`), in a fixed order; a file may stand for itself.

    Returns:
        Those of formats that are read, and those of others.

    Raises:
        SixteenfoldError: If a path does not exist or holds no picture, or a folder cannot be listed.
    """
    found = [_pictures_of(folder) for folder in folders]
    return [path for pictures, _ in found for path in pictures], [path for _, unread in found for path in unread]


def _pictures_of(folder: Path) -> tuple[list[Path], list[Path]]:
    pictures, unread, root, _ = all_pictures_at(folder)
    if root != folder and not is_picture(folder):
        raise SixteenfoldError(
            f"{folder}: neither a folder nor a picture in a supported format; name a folder of photographs"
        )
    return pictures, unread


def make_index(folders: Sequence[Path], smallest: int, need: str = CROP) -> Index:
    """Measure every picture by its header; those with a side below `smallest` pixels are listed as skipped.

    What `upscale` has made of a picture, and put beside it, is no photograph, nor are the samples of an earlier
    run. They are left out, unless a file is named itself: who names it means it.

    Args:
        folders: Where to look; a file may stand for itself.
        smallest: Least height and width in pixels.
        need: What takes as many, for the message when no picture has them.

    Raises:
        SixteenfoldError: If none is left; the first that cannot be read are named.
    """
    entries: list[Entry] = []
    skipped: list[str] = []
    broken: list[str] = []
    small: list[tuple[int, str]] = []
    found, unread = find_pictures(folders)
    # A file that is found in two ways counts once.
    pictures = {_real(path): path for path in found}
    named = {_real(path) for path in folders}
    results = set(results_among({path: path.parent for path in pictures.values()}, ENDINGS))
    made = {real: path for real, path in pictures.items() if path in results or _is_sample(real)}
    earlier = {real: path for real, path in made.items() if real not in named}
    for real, path in pictures.items():
        if real in earlier:
            continue
        try:
            height, width = measure(path)
        except SixteenfoldError as error:
            skipped.append(str(error))
            broken.append(str(error))
            continue
        if min(height, width) < smallest:
            skipped.append(f"{path}: {width}x{height} is smaller than {smallest}x{smallest}")
            small.append((min(height, width), f"{width}x{height}"))
        else:
            entries.append(Entry(real, height, width))
    index = Index(tuple(entries), tuple(skipped), tuple(earlier.values()), tuple(unread))
    if not entries:
        said = _why_none(small, broken, f"the {smallest}x{smallest} pixels of {need}", index.set_aside())
        raise SixteenfoldError(f"{', '.join(map(str, folders))}: {said}")
    return index


def _is_sample(path: Path) -> bool:
    """Whether it is a validation's sheet in a run folder."""
    run = path.parent.parent
    return path.parent.name == SAMPLES and (run / "config.json").is_file() and (run / "lock").is_file()


def _why_none(small: Sequence[tuple[int, str]], broken: Sequence[str], need: str, aside: Sequence[str]) -> str:
    """What became of pictures of which none is left: the small ones' least sides and sizes, the others' reasons.

    What cannot be read comes last, for its reasons are lines of their own.
    """
    count = len(small) + len(broken)
    alone = count == 1
    pictures = "the only picture" if alone else f"none of {count} pictures"
    said: list[str] = []
    if small:
        said.append(f"{pictures} {'does not have' if alone else 'has'} {need}")
        said.append(f"{'it' if alone else 'the largest'} is {max(small)[1]}")
    said += aside
    if broken:
        which = f"{len(broken)} cannot" if small else f"{pictures} {'cannot' if alone else 'can'}"
        said.append(f"{which} be read: {first_few(broken)}")
    return "; ".join(said)


def _real(path: Path) -> Path:
    """The path without links; a link that leads to itself stays, to be told of when it is read."""
    return Path(os.path.realpath(path))
