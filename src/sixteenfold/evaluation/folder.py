"""The report's folder: checked first, removed again if no report is written; files whole or not at all."""

import re
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.places import there
from sixteenfold.files.whole import writing_whole

OURS = {"scores.json", "scores.csv", "report.md", "report.html"}
LEFT_OVER = re.compile(rf"\.({'|'.join(map(re.escape, sorted(OURS)))})(\.\d+)?\.part")
"""Names of files that a killed evaluation may leave behind."""


@contextmanager
def report_folder(out: Path, *, overwrite: bool) -> Generator[None]:
    """Create or check the folder `out`: empty, or with an earlier report that may be replaced.

    Folders created for it are removed again if the block raises and wrote nothing; a folder that
    existed before stays as it was.

    Raises:
        SixteenfoldError: If `out` is a file, holds anything else, or cannot be made or written to.
    """
    _check(out, overwrite)
    new = [folder for folder in (out, *out.parents) if there(folder) is None]
    try:
        _make(out)
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # part of the report is in it, or it never came to be
                folder.rmdir()
        raise


def write_parts(target: Path, parts: Iterable[str]) -> None:
    """Write part by part, as `writing_whole` does it. OSError passes through, and leaves nothing behind."""
    with writing_whole(target) as file:
        # The bytes of a file's name need not be text: those that are not appear as escapes.
        file.writelines(part.encode("utf-8", "backslashreplace") for part in parts)


def _check(out: Path, overwrite: bool) -> None:
    found = there(out)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise SixteenfoldError(f"{out}: is a file; name a folder for the report")
    try:
        held = {path.name for path in out.iterdir()}
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot be listed: {error.strerror}; name another folder") from error
    if others := {name for name in held - OURS if not LEFT_OVER.fullmatch(name)}:
        raise SixteenfoldError(f"{out}: holds other files ({min(others)}); name another folder")
    if held & OURS and not overwrite:
        raise SixteenfoldError(f"{out}: holds an earlier report; name another folder, or use overwrite")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot be created: {error.strerror}; name another folder") from error
    try:
        TemporaryFile(dir=out).close()  # tried now, not after the work
        for path in out.iterdir():
            if LEFT_OVER.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot be written to: {error.strerror}; name another folder") from error
