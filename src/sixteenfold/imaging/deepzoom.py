"""A DeepZoom folder: a picture as JPEG tiles at its size and at every halving, for viewers such as OpenSeadragon.

`NAME.dzi` tells the sizes, `NAME_files/LEVEL/COLUMN_ROW.jpg` are the tiles; level 0 is one pixel.
"""

import os
import shutil
from pathlib import Path

import pyvips

QUALITY = 90
TILE, OVERLAP = 254, 1
"""Side of a tile and what it shares with each neighbour, in pixels, as is usual: tiles of 256."""
_NAME = "picture"
_FILE, _TILES, _BEFORE = f"{_NAME}.dzi", f"{_NAME}_files", "before"
"""What is in the folder that a picture is made in: itself, and, once they are set aside, an older one's tiles."""
_PROPERTIES = "vips-properties.xml"


def tiles_folder(target: Path) -> Path:
    """Where the tiles of `target`, a .dzi, are."""
    return target.with_name(f"{target.stem}_files")


def holds_tiles(folder: Path) -> bool:
    """Whether a folder has a DeepZoom picture's tiles and nothing else: by its name, its levels and the first level."""
    if not folder.name.endswith("_files"):
        return False
    try:
        entries = {entry.name for entry in folder.iterdir()}
        first = [tile.stem for tile in (folder / "0").iterdir()] if "0" in entries else []
    except OSError:
        return False
    return first == ["0_0"] and all(name.isdecimal() for name in entries - {_PROPERTIES})


def belongs_to_one(folder: Path) -> bool:
    """Whether a folder is a DeepZoom picture's, whoever wrote it: NAME_files beside NAME.dzi, or by what it holds.

    So a file that some program put among the tiles does not make photographs of them.
    """
    beside = folder.with_name(f"{folder.name.removesuffix('_files')}.dzi")
    return folder.name.endswith("_files") and (beside.is_file() or holds_tiles(folder))


def save(image: pyvips.Image, folder: Path) -> None:
    """Write the picture (8 bits, no alpha), streamed, into a new folder; when it returns, all is on the disk.

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

    `target` appears last, so where it is new, all its tiles are. No system renames both at once: after an error, or in
    the next run after a kill, `clear_away` takes back what was done. Raises OSError.
    """
    tiles, before = tiles_folder(target), folder / _BEFORE
    if tiles.exists():
        tiles.rename(before)
    else:
        before.mkdir()
    (folder / _TILES).rename(tiles)
    (folder / _FILE).replace(target)


def clear_away(folder: Path, target: Path) -> None:
    """Remove the folder of `save`, if it is there; what `put_in_place` did not come to the end with is undone first.

    If that is not possible now, the folder with the older tiles stays.
    """
    tiles, before = tiles_folder(target), folder / _BEFORE
    try:
        if before.exists() and (folder / _FILE).exists():
            if tiles.exists():
                tiles.rename(folder / _TILES)
            before.rename(tiles)
            if not any(tiles.iterdir()):  # there was no older picture
                tiles.rmdir()
    except OSError:
        return
    shutil.rmtree(folder, ignore_errors=True)
