"""Bands of rows -> a picture file, whole or not at all, without ever holding the picture."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyvips

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.ordinary import check_replaceable
from sixteenfold.files.places import open_itself
from sixteenfold.imaging import deepzoom, exif
from sixteenfold.imaging._vips import reason
from sixteenfold.imaging.encode import encode, picture
from sixteenfold.imaging.formats import check_format, format_of
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.rows import NoRoom, Rows, beside, failures_told, open_rows


@contextmanager
def rows_to_file(
    target: Path,
    width: int,
    height: int,
    channels: int,
    dtype: np.dtype | type,
    metadata: Metadata,
    fingerprint: str | None = None,
    *,
    pyramid: bool = False,
) -> Generator[Rows]:
    """Write a picture file from top to bottom, a band of rows at a time.

        with rows_to_file(target, width, height, 3, np.uint8, metadata) as writer:
            for band in bands:
                writer.write(band)

    Rows go, as they are, to `.NAME.rows` beside the target (see rows.py). When the block ends well the file is
    made from them as `.NAME.part` and renamed, so that `target` appears whole or not at all; an existing one is
    replaced. When it does not, both are removed and `target` is as it was.

    A DeepZoom picture (.dzi) is a file and a folder of tiles; of these the file appears last. Where both replace older
    ones, a kill between their renames leaves no file; the older picture is put back when the next block of this
    target is entered.

    Args:
        target: A name whose suffix sets the format.
        width: In pixels.
        height: In pixels.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        dtype: uint8, uint16 or float32 in 0..1; what the format cannot hold is reduced as `check_format` says.
        metadata: As read; the EXIF size is set to this picture's.
        fingerprint: Of all that decides the rows. With one they are kept if the run was interrupted or killed, ended
            by anything but a SixteenfoldError, the disk was full, or the file could not be made of them, and the next
            block with the same one continues after them; rows of another are discarded.
        pyramid: A TIFF gets its halvings too, for viewers.

    Yields:
        What takes the rows; it says how many there are already.

    Raises:
        SixteenfoldError: On entering if the format or the folder cannot take the picture or the disk has no room for
            it; on writing and leaving if the disk fails.
        ValueError: If no picture has this size.
    """
    if width < 1 or height < 1 or channels not in (1, 2, 3, 4):
        raise ValueError(f"no picture has size {width} x {height} x {channels}")
    if metadata.exif is not None:
        metadata = replace(metadata, exif=exif.upright(metadata.exif, width, height))
    check_format(target, width, height, alpha=channels in (2, 4), dtype=dtype)
    with failures_told(target):
        _check_place(target)
    with open_rows(target, (height, width, channels), np.dtype(dtype), fingerprint) as rows:
        _clear_away(target)  # of a run that was killed
        with failures_told(target):
            _check_room(target, height * rows.row_bytes, rows.written * rows.row_bytes, pyramid=pyramid)
        yield rows
        rows.finish()
        save(beside(target, "rows"), target, metadata, pyramid=pyramid)


def save(rows: Path, target: Path, metadata: Metadata, *, pyramid: bool = False) -> None:
    """Make the picture file `target` from a finished scratch file (see scratch.py): whole, or not at all.

    It is made, and flushed to the disk, as `.NAME.part`. metadata and pyramid: as of `rows_to_file`.
    Raises SixteenfoldError if the file cannot be written.
    """
    form, part = format_of(target), beside(target, "part")
    try:
        with failures_told(target), rows.open("rb") as scratch:
            if form.name == "DeepZoom":
                deepzoom.save(picture(scratch.fileno(), metadata, form), part)
                deepzoom.put_in_place(part, target)
            else:
                # Open for reading too, as TIFF is read back while it is written.
                with open_itself(part, "w+b") as file:
                    encode(scratch, metadata, form, file, pyramid=pyramid)
                    os.fsync(file.fileno())
                part.replace(target)
    except pyvips.Error as error:
        # libvips and its encoders hide the cause: a full disk is a failed write, missing memory a "system error".
        raise SixteenfoldError(
            f"{target}: cannot be written: {reason(error)}; check the free disk space and memory, "
            "or choose another format"
        ) from error
    finally:
        _clear_away(target)


def _clear_away(target: Path) -> None:
    """Remove what `save` had not finished."""
    part = beside(target, "part")
    deepzoom.clear_away(part, target)
    with suppress(OSError):
        part.unlink()


def _check_place(target: Path) -> None:
    """Check that the folder is writable and the name can be used."""
    folder = target.parent
    if target.is_dir():
        raise SixteenfoldError(f"{target}: is a folder; give a file in it")
    check_replaceable(target)
    if not folder.is_dir():
        raise SixteenfoldError(f"{target}: {folder} is not a folder; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SixteenfoldError(f"{target}: {folder} is not writable; change its permissions or choose another folder")
    if format_of(target).name == "DeepZoom":
        tiles = deepzoom.tiles_folder(target)
        other = deepzoom.something_else_in(tiles) if tiles.exists() else None
        if other or (tiles.exists() and not deepzoom.holds_tiles(tiles)):
            raise SixteenfoldError(
                f"{target}: its tiles belong in {tiles}, which exists and holds something else; "
                + (f"move {other} away or choose another name" if other else "choose another name")
            )


def _check_room(target: Path, raw: int, written: int, *, pyramid: bool) -> None:
    """Check that the disk has room for the rows, `raw` bytes of which `written` are there, and for the file."""
    # The rows and the file exist at once. Photographs shrink, but only a lossy format promises.
    encoded = raw * 4 // 3 if pyramid else raw
    needed = (raw + encoded if format_of(target).lossless else raw * 3 // 2) - written
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise NoRoom(
            f"{target}: needs up to {_size(needed)} while it is written, and "
            f"{target.parent} has {_size(free)} free; make room or choose another disk"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
