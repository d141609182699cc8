"""Events of a batch, and ways to show them: a bar, plain lines, or JSON for programs."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from sixteenfold.errors import one_line

LINE_EVERY = 30.0
"""Seconds between two lines about one picture where no bar can be drawn."""


@dataclass(frozen=True)
class Planned:
    """The jobs are known."""

    pictures: int
    skipped: tuple[Path, ...]
    """Results that exist already."""


@dataclass(frozen=True)
class Started:
    """A picture was read and its network run begins."""

    source: Path
    target: Path
    width: int
    """Of the result."""
    height: int


@dataclass(frozen=True)
class Advanced:
    """More rows of a picture's result are on the disk."""

    source: Path
    rows: int
    """How many there are now."""
    height: int
    megapixels: float
    """Megapixels of the new rows: 0 for rows left by a stopped run."""


@dataclass(frozen=True)
class Written:
    """A result is finished."""

    source: Path
    target: Path
    notes: tuple[str, ...]
    """What was lost or converted."""


@dataclass(frozen=True)
class Skipped:
    """Another process made a result before its turn came."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Failed:
    """A picture failed, or an input held none; the batch continues."""

    source: Path
    reason: str


Event = Planned | Started | Advanced | Written | Skipped | Failed
Watch = Callable[[Event], None]


def json_lines(stream: TextIO) -> Watch:
    """Each event as one line of JSON: its name in small letters as `event`, and its fields."""

    def watch(event: Event) -> None:
        fields = {"event": type(event).__name__.lower(), **asdict(event)}
        stream.write(json.dumps(fields, default=str) + "\n")  # in one piece: events come from two threads
        stream.flush()

    return watch


@contextmanager
def shown_on(console: Console) -> Generator[Watch]:
    """Shows events on a console: a bar with speed and time left on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.fields[count]} {task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        _Speed(),
        TimeRemainingColumn(),
    )
    # Lines on stderr go above the bar, but not where they are kept in a file.
    beside = sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stderr=beside) as progress:
        yield _Bar(progress)


class _Lines:
    """A line for each result, and one every half minute for a picture that takes long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._said = time.monotonic()
        self._megapixels = 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        match event:
            case Started():
                self._began = self._said = now
                self._megapixels = 0.0
            case Advanced():
                self._megapixels += event.megapixels
                if now - self._said >= LINE_EVERY:
                    self._said = now
                    speed = self._megapixels / (now - self._began)
                    done = 100 * event.rows // event.height
                    print_line(self._console, f"{event.source}: {done} %, {speed:.3g} megapixels/s")
            case Written():
                print_line(self._console, "; ".join((str(event.target), *event.notes)))
            case Planned() | Skipped() | Failed():
                pass  # the command line reports these at the end


class _Bar:
    """One bar for the batch, in megapixels of results; those not yet known count as the mean of the known ones.

    Of a failed picture only the part that was made counts, and it does not enter that mean.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar = progress.add_task("", count="", total=None)
        self._pictures = 0
        self._begun: set[Path] = set()
        self._wanted: dict[Path, float] = {}
        """Megapixels to make of each picture that has begun and not failed."""
        self._made: defaultdict[Path, float] = defaultdict(float)
        self._in_vain = 0.0
        """Megapixels made of pictures that failed later."""

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self._pictures = event.pictures
            case Started():
                self._begun.add(event.source)
                self._wanted[event.source] = event.width * event.height / 1e6
                count = f"{len(self._begun)}/{self._pictures}" if self._pictures > 1 else ""
                name = one_line(event.source.name)
                self._progress.update(self._bar, total=self._expected(), description=name, count=count)
            case Advanced(megapixels=0):
                self._wanted[event.source] *= 1 - event.rows / event.height
                self._progress.update(self._bar, total=self._expected())
            case Advanced():
                self._made[event.source] += event.megapixels
                self._progress.advance(self._bar, event.megapixels)
            case Written():
                print_line(self._progress.console, "; ".join((str(event.target), *event.notes)))
            case Skipped() | Failed():
                # A picture that had started stays counted as started.
                self._pictures -= event.source not in self._begun
                self._in_vain += self._made.pop(event.source, 0.0)
                self._wanted.pop(event.source, None)
                self._progress.update(self._bar, total=self._expected())

    def _expected(self) -> float | None:
        """Total megapixels to make; None, which leaves the bar as it is, while no picture's size is known."""
        if not self._wanted:
            return None
        to_come = self._pictures - len(self._begun)
        known = sum(self._wanted.values())
        return self._in_vain + known + known / len(self._wanted) * to_come


class _Speed(ProgressColumn):
    """Megapixels of results a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g} MP/s")


def print_line(console: Console, line: str) -> None:
    """Print a line as it stands: names of files may look like markup, or hold a line break."""
    console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)
