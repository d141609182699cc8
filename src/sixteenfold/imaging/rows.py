"""Rows of a picture in a hidden file beside it, until the picture is made of them; those of a stopped run are kept."""

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sixteenfold.errors import NoMemory, SixteenfoldError, out_of_memory_told
from sixteenfold.files.lock import try_lock
from sixteenfold.files.places import open_itself, there
from sixteenfold.imaging.scratch import HEADER_BYTES, Shape, header, index


class NoRoom(SixteenfoldError):
    """A file could not be written for want of room alone: with more of it, the same would succeed."""


@contextmanager
def failures_told(target: Path) -> Generator[None]:
    """Raise SixteenfoldError for an OSError of the block, NoRoom where it is that: why `target` cannot be written."""
    try:
        yield
    except OSError as error:
        kind: type[SixteenfoldError] = SixteenfoldError
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                kind, why = NoRoom, "the disk is full; make room or choose another disk"
            case errno.EFBIG:
                kind, why = NoRoom, "the file exceeds this process's size limit; raise the limit (ulimit -f)"
            case errno.EISDIR:
                why = f"{error.filename2 or error.filename} is a folder; move it away"
            case errno.ENAMETOOLONG:
                why = "the name is too long; choose a shorter one"
            case _:
                why = f"{error.strerror or error}; choose another folder"
        raise kind(f"{target}: cannot be written: {why}") from error


class Rows:
    """The rows of one picture, appended to an open file; made by `open_rows`.

    written: how many there are, those of a stopped run included; row_bytes: what each takes in the file.
    """

    def __init__(self, target: Path, file: BinaryIO, shape: Shape, dtype: np.dtype) -> None:
        self._target = target
        self._file = file
        self._shape, self._dtype = shape, dtype
        self.row_bytes = shape[1] * shape[2] * dtype.itemsize
        self.written = 0

    def __str__(self) -> str:
        return f"{self._shape} {self._dtype}"

    @property
    def stored(self) -> int:
        """How many whole rows the file has, without those that still wait to be flushed."""
        held = os.fstat(self._file.fileno()).st_size - HEADER_BYTES
        return min(self._shape[0], max(0, held) // self.row_bytes)

    def clear(self) -> None:
        """Discard what the file holds; the next row written is the first."""
        self._file.truncate(0)
        self._file.write(header(self._shape, self._dtype))

    def keep(self, rows: int) -> None:
        """Keep only the first `rows` rows; the next one written follows them."""
        self._file.truncate(HEADER_BYTES + rows * self.row_bytes)
        self.written = rows

    def write(self, rows: np.ndarray) -> None:
        """Append `rows` (h, W, C). Raises ValueError for others than were announced, and SixteenfoldError."""
        if rows.shape[1:] != self._shape[1:] or rows.dtype != self._dtype:
            raise ValueError(f"rows are {rows.shape} {rows.dtype}, not {self}")
        if self.written + len(rows) > self._shape[0]:
            raise ValueError(f"more rows than {self}")
        with failures_told(self._target):
            self._file.write(np.ascontiguousarray(rows).data)
        self.written += len(rows)

    def flush(self) -> None:
        """Hand all rows written so far to the operating system. Raises SixteenfoldError."""
        with failures_told(self._target):
            self._file.flush()

    def finish(self) -> None:
        """Add the index, with which the file is a TIFF. Raises ValueError if rows are missing, and SixteenfoldError."""
        if self.written != self._shape[0]:
            raise ValueError(f"only {self.written} rows of {self}")
        with failures_told(self._target):
            self._file.write(index(self._shape, self._dtype))
            self._file.flush()


@contextmanager
def open_rows(target: Path, shape: Shape, dtype: np.dtype, fingerprint: str | None) -> Generator[Rows]:
    """Rows in `.NAME.rows` beside `target` (see scratch.py), locked against other processes within the block.

    They are removed when the block ends. But with a fingerprint of all that decides them, which lies in `.NAME.key`,
    they are kept if only room or memory was missing or all are there, which the error then says, or if anything but a
    SixteenfoldError ended the block; the next block with the same fingerprint begins with them. Rows of another are
    discarded.

    Raises:
        SixteenfoldError: If another process has them, or they cannot be written.
    """
    path, key = beside(target, "rows"), beside(target, "key")
    with failures_told(target):
        file = _opened_alone(path, target)
    rows = Rows(target, file, shape, dtype)
    kept = False
    try:
        with failures_told(target):
            _begin(rows, key, fingerprint)
        with out_of_memory_told(target):
            yield rows
    except SixteenfoldError as error:
        # What a full disk did not take is lost; what memory did not hold waits for the disk, which gets it on closing.
        there_are = rows.written if isinstance(error, NoMemory) else rows.stored
        # Another error would come again after the same work; but with all rows there is none to do again.
        least = 1 if isinstance(error, NoRoom | NoMemory) else shape[0]
        kept = fingerprint is not None and there_are >= least
        promise = f"; its rows are kept in {path.name}, and the same command continues from them" if kept else ""
        raise type(error)(f"{error}{promise}") from error
    except BaseException:  # a stop: Ctrl-C, for example, or the error of who watches
        # Those of an earlier run count as well, if it comes before they are taken on.
        kept = fingerprint is not None and max(rows.written, rows.stored) > 0
        raise
    finally:
        if sys.platform == "win32":  # which removes no open file, and has no lock
            _close(file)
        # The lock is released last: who gets it then makes files of its own, which are not removed.
        for left in () if kept else (key, path):
            with suppress(OSError):
                left.unlink()
        _close(file)


def rows_left(target: Path) -> Path | None:
    """The file of rows that a stopped run left for this target; None if another process has it."""
    path = beside(target, "rows")
    try:
        if not beside(target, "key").exists():
            return None
        with path.open("rb") as file:
            return path if try_lock(file) else None
    except OSError:
        return None


def beside(target: Path, what: str) -> Path:
    """A hidden file that is there while `target` is written."""
    return target.with_name(f".{target.name}.{what}")


def _opened_alone(path: Path, target: Path) -> BinaryIO:
    """The file at `path`, open for appending, locked against other processes until it is closed or this one ends."""
    while True:
        file = open_itself(path, "a+b")
        if not try_lock(file):
            file.close()
            raise SixteenfoldError(f"{target}: another process is writing it; wait for it, or choose another OUT")
        # Its previous owner may have finished and removed the name, and a third process may have taken it.
        named = there(path)
        if named is not None and os.path.samestat(os.fstat(file.fileno()), named):
            return file
        file.close()


def _begin(rows: Rows, key: Path, fingerprint: str | None) -> None:
    """Continue after the rows of the same fingerprint, if there are any; otherwise discard what is there."""
    if fingerprint is not None and _text(key) == fingerprint and rows.stored:
        rows.keep(rows.stored)
        return
    # The fingerprint comes last, so that it never stands beside rows of another.
    key.unlink(missing_ok=True)
    rows.clear()
    if fingerprint is not None:
        key.write_text(fingerprint, encoding="utf-8")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # what it still held back is not wanted any more
        file.close()
