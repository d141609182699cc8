"""Which pictures a command processes, and where each result goes."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.places import file_there, folder_there, spelled_out, there
from sixteenfold.imaging.folders import pictures_at
from sixteenfold.imaging.formats import format_of, is_like_a_picture, is_unread_picture


@dataclass(frozen=True)
class Job:
    """One picture and its result's path."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """The jobs of a command, and what it leaves out."""

    jobs: tuple[Job, ...]
    """One per picture, in the order given, within folders in the order of names; without duplicates."""
    earlier: tuple[Path, ...]
    """Pictures in folders that were left out, because their names and places mark them as results of earlier runs."""
    made: tuple[Path, ...]
    """Files that were left out although given by name, because a job writes them."""
    unread: tuple[Path, ...]
    """Files in folders that were skipped: pictures by their names, but in unsupported formats."""
    refused: Mapping[Path, str]
    """Inputs without pictures, such as missing files, and closed folders in them, each with a line that says why."""

    @property
    def alone(self) -> bool:
        """Whether there is one thing to do, or no picture at all: then a failure is the command's."""
        return len(self.jobs) + len(self.refused) == 1 or not self.jobs

    def divided(self, *, overwrite: bool) -> tuple[list[Job], tuple[Path, ...]]:
        """The jobs that wait, and the results that are skipped as they exist; with `overwrite` none is."""
        done = {job for job in self.jobs if not overwrite and file_there(job.target)}
        return [job for job in self.jobs if job not in done], tuple(job.target for job in self.jobs if job in done)


def plan_jobs(
    inputs: Sequence[Path],
    out: Path | str | None,
    *,
    ending: str,
    endings: re.Pattern[str] | None = None,
    suffix: str | None = None,
    keep_suffix: bool = False,
) -> Plan:
    """Pair every picture with the file of its result. Only folders are read.

    Missing inputs are found now, before a result can appear in their place.

    Args:
        inputs: Files, used whatever their names, and folders, searched recursively; hidden files are left out.
        out: A file for a single picture, else a folder that mirrors the input folders; None puts each result
            beside its source. It counts as a file when its name ends like a picture's (`is_like_a_picture`),
            no folder of that name exists, and no slash follows, which only text can have.
        ending: Follows the source's name in the result's, before the suffix.
        endings: Matches such endings of earlier runs, with other sizes. A picture that has another's name and
            such an ending, and lies beside it or where its result goes, is left out, unless it is given by
            name itself.
        suffix: The results' suffix, such as ".png", if one is requested.
        keep_suffix: If none is requested, use the source's if such a file can be written. Otherwise
            the results are ".png".

    Returns:
        The jobs, and what was left out. The result of one job is never the source of another, even if given by name.
        If two sources would share a result, the results' names keep the sources' suffixes.

    Raises:
        SixteenfoldError: If nothing is named, `out` is "-", is one file for several inputs, of no format that is
            written, or contradicts the suffix, two results would have one name, or one would replace its own source.
    """
    if not inputs:
        raise SixteenfoldError("no INPUT: give at least one picture or folder")
    as_folder = isinstance(out, str) and out.endswith(("/", os.sep))
    out = None if out is None else Path(out)
    if out == Path("-"):
        raise SixteenfoldError("-o -: results are written to files, not to stdout; give a file name")
    placed, refused = _placed(inputs, out)
    named = {spelled_out(path) for path in inputs}
    unread = [path for path in placed if is_unread_picture(path) and spelled_out(path) not in named]
    for path in unread:
        del placed[path]
    found = [] if endings is None else results_among(placed, endings)
    earlier = [path for path in found if spelled_out(path) not in named]
    for source in earlier:
        del placed[source]
    if placed and out is not None and is_like_a_picture(out) and not as_folder and not folder_there(out):
        jobs = [_checked(_single(list(placed), refused, out, suffix))]
    else:
        jobs = [_checked(job) for job in _in_folders(placed, ending, suffix, keep_suffix=keep_suffix)]
    _check_apart(jobs)
    made = {spelled_out(job.target) for job in jobs if spelled_out(job.target) != spelled_out(job.source)}
    named_and_made = named & made
    return Plan(
        tuple(job for job in jobs if spelled_out(job.source) not in made),
        tuple(path for path in earlier if spelled_out(path) not in made),
        tuple(job.source for job in jobs if spelled_out(job.source) in named_and_made),
        tuple(unread),
        refused,
    )


def _in_folders(placed: Mapping[Path, Path], ending: str, suffix: str | None, *, keep_suffix: bool) -> list[Job]:
    """Give each picture's result its name, in the folder given."""
    targets = {
        source: folder / (source.stem + ending + (suffix or (_writable(source) if keep_suffix else ".png")))
        for source, folder in placed.items()
    }
    # Suffixes do not help to tell sources apart that share a whole name, from several folders.
    shared = Counter(target for target, _ in {(target, source.name) for source, target in targets.items()})
    return [
        # A result that would overwrite its source keeps that name, so that it is refused for that reason.
        Job(source, target.with_name(source.name + ending + target.suffix))
        if shared[target] > 1 and spelled_out(target) != spelled_out(source)
        else Job(source, target)
        for source, target in targets.items()
    ]


def results_among(placed: Mapping[Path, Path], endings: re.Pattern[str]) -> list[Path]:
    """The pictures that are named like the result of another, beside it or in the folder of its result.

    Args:
        placed: Pictures, each with the folder that its result goes to.
        endings: Matches what a result's name has after its source's.
    """
    names = {
        (spelled_out(place), name)
        for source, folder in placed.items()
        for place in (source.parent, folder)
        for name in (source.stem, source.name)
    }
    return [
        path
        for path in placed
        if (ending := endings.search(path.stem)) and (spelled_out(path.parent), path.stem[: ending.start()]) in names
    ]


def _single(sources: Sequence[Path], refused: Mapping[Path, str], out: Path, suffix: str | None) -> Job:
    if refused:  # the name may have been meant for one of these
        raise SixteenfoldError("; ".join((f"{out}: is one file; not all inputs were found or read", *refused.values())))
    if len(sources) > 1:
        raise SixteenfoldError(f"{out}: is one file for several pictures; name a folder, without a suffix")
    try:
        form = format_of(out)
    except SixteenfoldError as error:
        raise SixteenfoldError(f"{error}; if it is meant as a folder, create it first") from None
    if suffix is not None and form != format_of(Path(f"any{suffix}")):
        raise SixteenfoldError(f"{out}: does not match the format {suffix[1:]}; leave out one of them")
    return Job(sources[0], out)


def _placed(inputs: Sequence[Path], out: Path | None) -> tuple[dict[Path, Path], dict[Path, str]]:
    """Every picture, including unsupported formats, with the folder of its result.

    Also what gave no pictures, each with the reason.
    """
    placed: dict[Path, Path] = {}
    refused: dict[Path, str] = {}
    seen: set[str] = set()
    for path in inputs:
        try:
            found = pictures_at(path)
            if out is None and found.root == Path("/dev"):  # /dev/stdin, redirected from a file
                raise SixteenfoldError(f"{path}: no result is written to /dev; name one with -o OUT")
        except SixteenfoldError as error:
            refused[path] = str(error)
            continue
        refused |= found.closed
        # A file's result goes into OUT itself; a folder's results mirror its subfolders.
        for file in (*found.pictures, *found.unread):
            if spelled_out(file) not in seen:
                seen.add(spelled_out(file))
                placed[file] = file.parent if out is None else out / file.parent.relative_to(found.root)
    return placed, refused


def _writable(source: Path) -> str:
    """The source's suffix if it names a format that is written, else ".png"."""
    try:
        format_of(source)
    except SixteenfoldError:
        return ".png"
    return source.suffix


def _check_apart(jobs: Sequence[Job]) -> None:
    """Raise SixteenfoldError if two results would have one name."""
    sources: dict[str, Path] = {}
    for job in jobs:
        target = spelled_out(job.target)
        if target in sources:
            raise SixteenfoldError(
                f"{sources[target]} and {job.source}: both results would be {job.target}; "
                "process one of them separately, into another OUT"
            )
        sources[target] = job.source


def _checked(job: Job) -> Job:
    source, target = there(job.source), there(job.target)
    if (source and target and os.path.samestat(source, target)) or job.target.absolute() == job.source.absolute():
        raise SixteenfoldError(f"{job.source}: its result would overwrite it; choose another OUT")
    return job
