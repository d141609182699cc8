"""Enlarge many picture files, each into its own file, and continue past failures."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import nn

from sixteenfold.errors import SixteenfoldError, out_of_memory_told
from sixteenfold.files.ahead import one_ahead
from sixteenfold.files.names import all_given, given_or_none
from sixteenfold.imaging.formats import format_of
from sixteenfold.imaging.jobs import Job, Plan, plan_jobs
from sixteenfold.upscaling.picture import ENDINGS, AlreadyMade, Picture, Size, enlarge, open_picture, result_rows
from sixteenfold.upscaling.progress import Advanced, Event, Failed, Planned, Skipped, Started, Watch, Written, shown_on
from sixteenfold.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class BatchReport:
    """The outcome of a batch."""

    plan: Plan
    """The planned jobs, and which pictures were left out."""
    written: tuple[Path, ...]
    """New results."""
    skipped: tuple[Path, ...]
    """Results that existed and were left alone."""
    failures: tuple[str, ...]
    """A line for each input without pictures and each picture that failed."""


def upscale_files(
    inputs: Path | str | Sequence[Path | str],
    out: Path | str | None = None,
    upscaler: Upscaler | Callable[[], Upscaler] = Upscaler,
    *,
    format: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    watch: Watch | None = None,
    say: Callable[[str], None] | None = None,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    pyramid: bool = False,
    allow_huge: bool = False,
) -> BatchReport:
    """Enlarge picture files sixteen times, or less.

    While one picture is enlarged, the next is read and the previous one is encoded. A picture whose
    enlargement was interrupted or killed is continued from the band of rows that it had reached.

    Args:
        inputs: A file or a folder, or several; folders are searched recursively. Pictures in folders that are named
            like another's result, of any size and format, are left out; files given by name, only if they are
            the result of another input.
        out: A file for one picture, else a folder that mirrors the inputs' folders; None puts NAME_x16
            beside each picture (another ending where scale or size is given).
        upscaler: An Upscaler, or a function that makes one, called once the jobs are planned; by default the best
            shipped model on the best device.
        format: Suffix of the results, such as "png" or ".png"; None uses the suffix of `out`, else png.
        overwrite: Replace existing results; without it they are skipped.
        console: Where progress is shown, and a line for each result; None is silent.
        watch: Called with each event, in order, not always in the same thread.
        say: Called with the upscaler's description, as soon as the first result is started.
        scale: Reduce each result to this many times its picture's side, 2 to 16.
        size: Reduce each result to this (width, height).
        pyramid: Add the results' successive halvings to their files, which must be TIFF.
        allow_huge: Read pictures of more than 178 megapixels too.

    Raises:
        SixteenfoldError: If the inputs, `out`, scale and size do not fit together, or the upscaler cannot be made.
            Inputs and pictures that fail, even a single one, are listed in the report's failures instead.
    """
    wanted = Size(scale, size)
    inputs = all_given(inputs, "inputs")
    given_or_none(out, "out")  # checked only: a Path would forget the slash of "large.png/"
    if not isinstance(upscaler, Upscaler) and (not callable(upscaler) or isinstance(upscaler, nn.Module)):
        raise SixteenfoldError(
            f"upscaler: {type(upscaler).__name__} is neither an Upscaler nor a function that makes one; "
            "pass Upscaler(model)"
        )
    plan = plan_jobs(inputs, out, ending=wanted.ending, endings=ENDINGS, suffix=_suffix(format))
    jobs = plan.jobs
    if pyramid and (other := next((job.target for job in jobs if format_of(job.target).name != "TIFF"), None)):
        raise SixteenfoldError(f"{other}: only a TIFF holds a pyramid; use tif, or dzi, which is one itself")
    pending, skipped = plan.divided(overwrite=overwrite)
    enlarges = upscaler if isinstance(upscaler, Upscaler) else upscaler()
    if not isinstance(enlarges, Upscaler):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(f"upscaler: the function returned {type(enlarges).__name__}, not an Upscaler")
    with ExitStack() as stack:
        # First in the list, so that the description comes before any other report of the first result.
        watches: list[Watch] = [_once_begun(partial(say, enlarges.description))] if say else []
        if watch:
            watches.append(watch)
        if console:
            watches.append(stack.enter_context(shown_on(console)))
        batch = _Batch(watches)
        for source, reason in plan.refused.items():
            batch.tell(Failed(source, reason))
        batch.tell(Planned(len(pending), skipped))
        read = partial(open_picture, size=wanted, pyramid=pyramid, allow_huge=allow_huge, overwrite=overwrite)
        batch.run(pending, enlarges, read)
    return BatchReport(
        plan, tuple(batch.written), (*skipped, *batch.skipped), (*plan.refused.values(), *batch.failures)
    )


def _suffix(format: str | None) -> str | None:
    """The suffix of a format; SixteenfoldError if results cannot have it."""
    if format is None:
        return None
    if not isinstance(format, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(f"format: expected a suffix, such as 'png', not {format!r}")
    suffix = f".{format.removeprefix('.')}"
    format_of(Path(f"NAME{suffix}"))
    return suffix


def _once_begun(act: Callable[[], None]) -> Watch:
    """Acts once, when the first result has its place on the disk; never if every picture is refused before."""
    begun = False

    def watch(event: Event) -> None:
        nonlocal begun
        if isinstance(event, Advanced) and not begun:
            begun = True
            act()

    return watch


class _Batch:
    """Runs one batch with three extra threads, for reading, writing rows and encoding."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches
        self.written: list[Path] = []
        self.skipped: list[Path] = []
        self.failures: list[str] = []

    def tell(self, event: Event) -> None:
        for watch in self._watches:
            watch(event)

    def run(self, jobs: Sequence[Job], upscaler: Upscaler, read: Callable[[Job], Picture]) -> None:
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing, ThreadPoolExecutor(1) as encoding:
            before: tuple[Picture, Future[None]] | None = None
            for job, opened in one_ahead(jobs, read, reading):
                try:
                    with out_of_memory_told(job.source):
                        picture = opened.result()
                        result = self._enlarged(picture, upscaler, writing)
                except AlreadyMade:
                    self.skipped.append(job.target)
                    self.tell(Skipped(job.source, job.target))
                    continue
                except SixteenfoldError as error:
                    self._failed(job, error)
                    continue
                # At once, as it lets go of the result's lock in any case, even if the wait for the last is interrupted.
                latest = picture, encoding.submit(result.close)
                # One picture waits to be encoded at most: its rows take room on the disk.
                self._settle(before)
                before = latest
            self._settle(before)

    def _enlarged(self, picture: Picture, upscaler: Upscaler, writing: ThreadPoolExecutor) -> ExitStack:
        """All rows of a picture's result: to be closed, once, in any thread, which makes its file of them."""
        job, (height, width) = picture.job, picture.size
        self.tell(Started(job.source, job.target, width, height))

        def written(rows: int, new: int) -> None:
            self.tell(Advanced(job.source, rows, height, new * width / 1e6))

        with ExitStack() as result:
            rows = result.enter_context(result_rows(picture, upscaler))
            enlarge(picture, upscaler, rows, writing, written)
            return result.pop_all()

    def _settle(self, encoded: tuple[Picture, Future[None]] | None) -> None:
        """Wait for a picture's file, and tell what became of it."""
        if encoded is None:
            return
        picture, future = encoded
        try:
            future.result()
        except SixteenfoldError as error:
            self._failed(picture.job, error)
        else:
            self.written.append(picture.job.target)
            self.tell(Written(picture.job.source, picture.job.target, picture.notes))

    def _failed(self, job: Job, error: SixteenfoldError) -> None:
        self.tell(Failed(job.source, str(error)))
        self.failures.append(str(error))
