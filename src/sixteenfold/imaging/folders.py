"""Which picture files a command means, and where the result of each goes."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.deepzoom import holds_tiles
from sixteenfold.imaging.formats import format_of
from sixteenfold.imaging.read import is_picture


@dataclass(frozen=True)
class Job:
    """One picture's way."""

    source: Path
    target: Path


def plan_jobs(
    inputs: Sequence[Path], out: Path | None, *, ending: str, suffix: str | None = None, keep_suffix: bool = False
) -> tuple[Job, ...]:
    """Pair every picture that is meant with the file of its result. Nothing is read but folders.

    Args:
        inputs: Files, taken as they are named, and folders, walked for pictures; hidden files are left out.
        out: A file for a single picture, else a folder, in which an input folder's own folders appear
            again; None puts each result beside its source. It counts as a file when its name ends like
            a picture's and no folder of that name exists.
        ending: What a result's name has after its source's, before the suffix.
        suffix: The results' suffix, such as ".png", if one is asked for.
        keep_suffix: Where none is asked for, take the source's if such a file can be written. Otherwise
            the results are ".png".

    Returns:
        A job a picture, in the order given, folders in the order of names; none twice. Results of an
        earlier run are no sources of this one. Where two sources would share a result, the results'
        names keep the sources' suffixes.

    Raises:
        SixteenfoldError: If nothing is named, a folder holds no picture, `out` is one file for several
            pictures or contradicts the suffix, two results would have one name, or one would replace its
            own source.
    """
    if not inputs:
        raise SixteenfoldError("no INPUT: name at least one picture or folder")
    placed: dict[Path, Path] = {}
    seen: set[str] = set()
    for source, folder in _placed(inputs, out):
        if _spelled_out(source) not in seen:
            seen.add(_spelled_out(source))
            placed[source] = folder
    if out is not None and (is_picture(out) or out.suffix.lower() == ".dzi") and not _is_folder(out):
        return (_single(list(placed), out, suffix),)
    targets = {
        source: folder / (source.stem + ending + (suffix or (_writable(source) if keep_suffix else ".png")))
        for source, folder in placed.items()
    }
    shared = {target for target, count in Counter(targets.values()).items() if count > 1}
    jobs = [
        Job(source, target if target not in shared else target.with_name(source.name + ending + target.suffix))
        for source, target in targets.items()
    ]
    _check_apart(jobs)
    made = {job.target.absolute() for job in jobs if job.target.absolute() != job.source.absolute()}
    return tuple(_checked(job) for job in jobs if job.source.absolute() not in made)


def there(path: Path) -> os.stat_result | None:
    """What the system says of a path, links followed; None where it says nothing.

    That is, where nothing is there, and where it cannot tell, as in a closed folder or of too long a name.
    """
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def make_folder(target: Path) -> None:
    """Make the folder that a result goes to, where it is missing.

    Raises:
        SixteenfoldError: If that is not possible.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SixteenfoldError(f"{target}: its folder cannot be made ({error.strerror}); name another place") from None


def _is_folder(path: Path) -> bool:
    found = there(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _single(sources: Sequence[Path], out: Path, suffix: str | None) -> Job:
    if len(sources) > 1:
        raise SixteenfoldError(f"{out}: is one file for several pictures; name a folder, without a suffix")
    if suffix is not None and format_of(out) != format_of(Path(f"any{suffix}")):
        raise SixteenfoldError(f"{out}: is not what --format {suffix[1:]} asks for; leave out one of the two")
    return _checked(Job(sources[0], out))


def _placed(inputs: Sequence[Path], out: Path | None) -> Iterator[tuple[Path, Path]]:
    """Every picture, with the folder of its result."""
    for path in inputs:
        if not _is_folder(path):
            yield path, path.parent if out is None else out
            continue
        found = [file for file in walk(path) if is_picture(file)]
        if not found:
            raise SixteenfoldError(f"{path}: holds no picture of a known format; check the name")
        for file in found:
            yield file, file.parent if out is None else out / file.parent.relative_to(path)


def walk(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, in order of name; hidden ones are left out.

    Raises:
        SixteenfoldError: If one of the folders cannot be listed.
    """
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        raise SixteenfoldError(f"{folder}: cannot be listed ({error.strerror}); change its permissions") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # A link to a folder is not followed: it may lead back here. Tiles are one picture, not thousands.
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if not holds_tiles(path):
                yield from walk(path)
        elif entry.is_file(follow_symlinks=False) or (
            entry.is_symlink() and (found := there(path)) and stat.S_ISREG(found.st_mode)
        ):
            yield path


def _writable(source: Path) -> str:
    """The source's suffix if it names a format that is written, else ".png"."""
    try:
        format_of(source)
    except SixteenfoldError:
        return ".png"
    return source.suffix


def _spelled_out(path: Path) -> str:
    """One name for a path, whichever way it was written."""
    return os.path.normpath(path.absolute())


def _check_apart(jobs: Sequence[Job]) -> None:
    """Raise SixteenfoldError if two results would have one name."""
    sources: dict[str, Path] = {}
    for job in jobs:
        target = _spelled_out(job.target)
        if target in sources:
            raise SixteenfoldError(
                f"{job.source} and {sources[target]}: both results would be {job.target}; give each folder its own OUT"
            )
        sources[target] = job.source


def _checked(job: Job) -> Job:
    source, target = there(job.source), there(job.target)
    if (source and target and os.path.samestat(source, target)) or job.target.absolute() == job.source.absolute():
        raise SixteenfoldError(f"{job.source}: its result would take its place; name another OUT")
    return job
