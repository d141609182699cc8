"""Bands of rows -> a picture file, whole or not at all, without ever holding the picture."""

import errno
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import pyvips

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.lock import try_lock
from sixteenfold.files.ordinary import check_replaceable
from sixteenfold.files.places import there
from sixteenfold.imaging import deepzoom, exif
from sixteenfold.imaging._vips import reason
from sixteenfold.imaging.encode import encode, picture
from sixteenfold.imaging.formats import check_format as check_format, format_of
from sixteenfold.imaging.read import Metadata
from sixteenfold.imaging.scratch import HEADER_BYTES, header, index

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, or a quota or a limit on file size is reached."""


class BandWriter:
    """Writes a picture file from top to bottom, a band of rows at a time.

        with BandWriter(target, width, height, 3, np.uint8, metadata) as writer:
            for band in bands:
                writer.write(band)

    Rows go, as they are, to `.NAME.rows` beside the target (see scratch.py). When the block ends well the file is
    encoded from there as `.NAME.part` and renamed, so that `target` appears whole or not at all;
    an existing one is replaced. When it does not, both are removed and `target` is as it was.

    With a fingerprint of all that decides the rows, they are kept if the run was interrupted or killed, ended
    by anything but a SixteenfoldError, or the disk was full, and the next writer with the same fingerprint
    continues after them: `rows_written` says how many there are, and `keep` discards some of them. Rows of
    another fingerprint are discarded.

    A DeepZoom picture (.dzi) is a file and a folder of tiles; of these the file appears last. Where both replace older
    ones, a kill between their renames leaves no file; the older picture is put back when the next writer of this
    target is entered.

    channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. dtype: uint8, uint16 or float32 in
    0..1; rows of what the format cannot hold are reduced as `check_format` says. metadata: as
    read; the EXIF size is set to this picture's. pyramid: a TIFF gets its halvings too, for viewers.

    Entering raises SixteenfoldError when the format or the folder cannot take the picture or the
    disk has no room for it; writing and leaving, when the disk fails.
    """

    def __init__(
        self,
        target: Path,
        width: int,
        height: int,
        channels: int,
        dtype: np.dtype | type,
        metadata: Metadata,
        fingerprint: str | None = None,
        *,
        pyramid: bool = False,
    ) -> None:
        if width < 1 or height < 1 or channels not in (1, 2, 3, 4):
            raise ValueError(f"no picture has size {width} x {height} x {channels}")
        self.target = target
        self.width, self.height, self.channels = width, height, channels
        self.dtype = np.dtype(dtype)
        self.metadata = metadata
        if metadata.exif is not None:
            self.metadata = replace(metadata, exif=exif.upright(metadata.exif, width, height))
        self.rows_written = 0
        self._shape = (height, width, channels)
        self._scratch = _beside(target, "rows")
        self._part = _beside(target, "part")
        self._key = _beside(target, "key")
        self._fingerprint = fingerprint
        self._pyramid = pyramid
        self._file: BinaryIO | None = None
        self._room_missing = False

    def __enter__(self) -> Self:
        alpha = self.channels in (2, 4)
        check_format(self.target, self.width, self.height, alpha=alpha, dtype=self.dtype)
        try:
            self._check_place()
            self._file = self._opened_alone()
        except OSError as error:
            raise self._failed(error) from error
        try:
            deepzoom.clear_away(self._part, self.target)  # of a run that was killed
            found = self._rows_found()
            self._check_room(found)
            if found:
                self.keep(found)
            else:
                # The fingerprint comes last, so that it never stands beside rows of another.
                self._key.unlink(missing_ok=True)
                self._file.truncate(0)
                self._file.write(header(self._shape, self.dtype))
                if self._fingerprint is not None:
                    self._key.write_text(self._fingerprint, encoding="utf-8")
        except SixteenfoldError:
            # Keep rows that a later run can continue from, once there is room.
            self._leave(rows=self._rows_found() == 0)
            raise
        except OSError as error:
            self._leave()
            raise self._failed(error) from error
        return self

    def _opened_alone(self) -> BinaryIO:
        """The scratch file, open for appending, locked against other processes until it is closed or this one ends."""
        while True:
            file = self._scratch.open("a+b")
            if not try_lock(file):
                file.close()
                raise SixteenfoldError(
                    f"{self.target}: another process is writing it; wait for it, or choose another OUT"
                )
            # Its previous owner may have finished and removed the name, and a third process may have taken it.
            named = there(self._scratch)
            if named is not None and os.path.samestat(os.fstat(file.fileno()), named):
                return file
            file.close()

    def keep(self, rows: int) -> None:
        """Keep only the first `rows` rows; the next one written follows them."""
        if self._file is None:
            raise ValueError("rows are kept inside the with block")
        self._file.truncate(HEADER_BYTES + rows * self._row_bytes)
        self.rows_written = rows

    def write(self, rows: np.ndarray) -> None:
        """Append `rows` (h, W, C) of the writer's type. Raises ValueError for any other."""
        if self._file is None:
            raise ValueError("rows are written inside the with block")
        if rows.shape[1:] != (self.width, self.channels) or rows.dtype != self.dtype:
            raise ValueError(f"rows are {rows.shape} {rows.dtype}, not {self}")
        if self.rows_written + len(rows) > self.height:
            raise ValueError(f"more rows than {self}")
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise self._failed(error) from error
        self.rows_written += len(rows)

    def flush(self) -> None:
        """Hand all rows written so far to the operating system, so that a killed program loses none."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                raise self._failed(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failure:
            error = failure
            raise
        finally:
            # A SixteenfoldError would recur; whatever else ends the run, such as a watcher's error, is a stop.
            stopped = error is not None and not isinstance(error, SixteenfoldError)
            self._leave(rows=self._fingerprint is None or not (stopped or self._rows_wait()))

    def __str__(self) -> str:
        return f"({self.height}, {self.width}, {self.channels}) {self.dtype}"

    def _finish(self) -> None:
        if self.rows_written != self.height:
            raise ValueError(f"only {self.rows_written} rows of {self}")
        try:
            if self._file is not None:
                self._file.write(index(self._shape, self.dtype))
                self._file.flush()
            self._encode()
        except OSError as failure:
            raise self._failed(failure) from failure
        except pyvips.Error as failure:
            # libvips does not report the cause; it writes less than this at a time.
            self._room_missing = shutil.disk_usage(self.target.parent).free < 2**20
            raise SixteenfoldError(
                f"{self.target}: cannot be written: {reason(failure)}; "
                f"check the free disk space or choose another format{self._promise()}"
            ) from failure

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what it still held back is not wanted any more
                file.close()

    def _leave(self, *, rows: bool = True) -> None:
        """Remove the temporary files, except the rows if so requested; only then release the lock.

        A process that gets the lock after that makes its own files, which are then not removed.
        """
        if sys.platform == "win32":  # which removes no open file, and has no lock
            self._close()
        deepzoom.clear_away(self._part, self.target)
        for left in (self._part, self._key, self._scratch) if rows else (self._part,):
            with suppress(OSError):
                left.unlink()
        self._close()

    @property
    def _row_bytes(self) -> int:
        return self.width * self.channels * self.dtype.itemsize

    def _rows_found(self) -> int:
        """How many whole rows an interrupted run with the same fingerprint left."""
        try:
            if self._fingerprint is None or self._key.read_text(encoding="utf-8") != self._fingerprint:
                return 0
            held = self._scratch.stat().st_size - HEADER_BYTES
        except (OSError, UnicodeDecodeError):
            return 0
        return min(self.height, max(0, held) // self._row_bytes)

    def _check_place(self) -> None:
        """Check that the folder is writable and the name can be used."""
        folder = self.target.parent
        if self.target.is_dir():
            raise SixteenfoldError(f"{self.target}: is a folder; give a file in it")
        check_replaceable(self.target)
        if not folder.is_dir():
            raise SixteenfoldError(f"{self.target}: {folder} is not a folder; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SixteenfoldError(
                f"{self.target}: {folder} is not writable; change its permissions or choose another folder"
            )
        if format_of(self.target).name == "DeepZoom":
            tiles = deepzoom.tiles_folder(self.target)
            other = deepzoom.something_else_in(tiles) if tiles.exists() else None
            if other or (tiles.exists() and not deepzoom.holds_tiles(tiles)):
                raise SixteenfoldError(
                    f"{self.target}: its tiles belong in {tiles}, which exists and holds something else; "
                    + (f"move {other} away or choose another name" if other else "choose another name")
                )

    def _check_room(self, found: int) -> None:
        """Check that the disk has room for the remaining rows and the file."""
        folder = self.target.parent
        raw = self.height * self._row_bytes
        # The rows and the file exist at once. Photographs shrink, but only a lossy format promises.
        encoded = raw * 4 // 3 if self._pyramid else raw
        needed = (raw + encoded if format_of(self.target).lossless else raw * 3 // 2) - found * self._row_bytes
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise SixteenfoldError(
                f"{self.target}: needs up to {_size(needed)} while it is written, and "
                f"{folder} has {_size(free)} free; make room or choose another disk"
            )

    def _encode(self) -> None:
        """The scratch file as a picture file, on the disk under its temporary name, then under its own."""
        form = format_of(self.target)
        if form.name == "DeepZoom":
            with self._scratch.open("rb") as rows:
                deepzoom.save(picture(rows.fileno(), self.metadata, form), self._part)
            deepzoom.put_in_place(self._part, self.target)
            return
        # Open for reading too, as TIFF is read back while it is written.
        with self._scratch.open("rb") as rows, self._part.open("w+b") as part:
            encode(rows, self.metadata, form, part, pyramid=self._pyramid)
            os.fsync(part.fileno())
        self._part.replace(self.target)

    def _failed(self, error: OSError) -> SixteenfoldError:
        """The error to raise; also notes whether room was missing, which decides which files are kept."""
        self._room_missing = error.errno in NO_ROOM
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause, way_out = "the disk is full", "make room or choose another disk"
        elif error.errno == errno.ENAMETOOLONG:
            cause, way_out = "the name is too long", "choose a shorter one"
        elif error.errno == errno.EFBIG:
            cause, way_out = "the file exceeds this process's size limit", "raise the limit (ulimit -f)"
        else:
            cause, way_out = error.strerror or str(error), "choose another folder"
        return SixteenfoldError(f"{self.target}: cannot be written: {cause}; {way_out}{self._promise()}")

    def _rows_wait(self) -> bool:
        """Whether only room was missing, and there are rows to continue from."""
        return self._room_missing and self._rows_found() > 0

    def _promise(self) -> str:
        """The end of a failure's message: whether rows are kept."""
        wait = self._rows_wait()
        return f"; its rows are kept in {self._scratch.name}, and the same command continues from them" if wait else ""


def rows_left(target: Path) -> Path | None:
    """The scratch file of a stopped run that a writer of this target can continue; None if another process has it."""
    scratch = _beside(target, "rows")
    try:
        if not _beside(target, "key").exists():
            return None
        with scratch.open("rb") as file:
            return scratch if try_lock(file) else None
    except OSError:
        return None


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
