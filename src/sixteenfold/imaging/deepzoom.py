"""A DeepZoom folder: a picture as JPEG tiles at its size and at every halving, for viewers such as OpenSeadragon.

`NAME.dzi` holds the sizes, `NAME_files/LEVEL/COLUMN_ROW.jpg` are the tiles; level 0 is one pixel.
"""

import os
import re
import shutil
from pathlib import Path

import pyvips

QUALITY = 90
TILE, OVERLAP = 254, 1
"""Side of a tile and what it shares with each neighbour, in pixels, as is usual: tiles of 256."""
_NAME = "picture"
_FILE, _TILES = f"{_NAME}.dzi", f"{_NAME}_files"
_OLDER_FILE, _OLDER_TILES = "older.dzi", "older_files"
"""Names in the folder that a picture is made in: itself, and an older one moved aside."""
_PROPERTIES = "vips-properties.xml"


def tiles_folder(target: Path) -> Path:
    """Where the tiles of `target`, a .dzi, are."""
    return target.with_name(f"{target.stem}_files")


def holds_tiles(folder: Path) -> bool:
    """Whether a folder looks like a DeepZoom picture's tiles: by its name, its levels and the first level."""
    if not folder.name.endswith("_files"):
        return False
    try:
        entries = {entry.name for entry in folder.iterdir()}
        first = [tile.stem for tile in (folder / "0").iterdir()] if "0" in entries else []
    except OSError:
        return False
    return first == ["0_0"] and all(name.isdecimal() for name in entries - {_PROPERTIES})


def something_else_in(folder: Path) -> Path | None:
    """Something in a folder of tiles that is not a level or a tile, or cannot be listed, and would be lost with them.

    One of several; None if there is nothing of the kind.
    """
    try:
        for entry in _entries(folder):
            if entry.name == _PROPERTIES:
                continue
            if not (entry.name.isdecimal() and entry.is_dir()):
                return Path(entry.path)
            tile_name = r"0_0\.\w+" if entry.name == "0" else r"\d+_\d+\.\w+"
            for tile in _entries(entry.path):
                if not (re.fullmatch(tile_name, tile.name) and tile.is_file(follow_symlinks=False)):
                    return Path(tile.path)
    except OSError as error:
        return Path(error.filename)
    return None


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def is_level(folder: Path) -> bool:
    """Whether a folder is a level of any DeepZoom picture: NAME_files/7 beside NAME.dzi or among others.

    So a stray file does not turn tiles into photographs, nor a .dzi the photographs in a folder beside it into tiles.
    """
    tiles = folder.parent
    if not (re.fullmatch(r"\d\d?", folder.name) and tiles.name.endswith("_files")):
        return False
    return tiles.with_name(f"{tiles.name.removesuffix('_files')}.dzi").is_file() or holds_tiles(tiles)


def save(image: pyvips.Image, folder: Path) -> None:
    """Write the picture (8 bits, no alpha), streamed, into a new folder, and flush it to disk.

    Raises OSError and pyvips.Error.
    """
    folder.mkdir()
    pyvips.Operation.call(
        "dzsave",
        image,
        os.fsencode(folder / _NAME),  # not text: a name need not be UTF-8
        tile_size=TILE,
        overlap=OVERLAP,
        suffix=f".jpg[Q={QUALITY},subsample_mode=off]",
        keep="icc",  # in each tile, for its colours; the rest would be said a thousand times
    )
    (folder / _TILES / _PROPERTIES).unlink(missing_ok=True)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def put_in_place(folder: Path, target: Path) -> None:
    """Rename what `save` wrote to be `target` and its tiles, in place of older ones, which end up in `folder`.

    Both cannot be renamed at once: the older `target` goes first and the new one comes last, so that if it
    exists, all its tiles do. After an error, or in the next run after a kill, `clear_away` takes back what was done.
    Raises OSError.
    """
    tiles = tiles_folder(target)
    for older, place in ((target, _OLDER_FILE), (tiles, _OLDER_TILES)):
        if older.exists():
            older.rename(folder / place)
    (folder / _TILES).rename(tiles)
    (folder / _FILE).rename(target)


def clear_away(folder: Path, target: Path) -> None:
    """Remove the folder of `save`, if it exists; an unfinished `put_in_place` is undone first.

    If that is not possible now, the folder with the older picture stays.
    """
    tiles = tiles_folder(target)
    try:
        if (folder / _FILE).exists():
            if tiles.exists() and not (folder / _TILES).exists():
                tiles.rename(folder / _TILES)
            for older, place in ((tiles, _OLDER_TILES), (target, _OLDER_FILE)):
                if (folder / place).exists():
                    (folder / place).rename(older)
    except OSError:
        return
    shutil.rmtree(folder, ignore_errors=True)
