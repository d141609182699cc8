"""What a run tells while it goes on: a line or a bar for the eye, metrics.jsonl and TensorBoard for later."""

import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import pyvips
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.whole import write_whole
from sixteenfold.imaging.color import to_pixels
from sixteenfold.training.index import SAMPLES
from sixteenfold.upscaling.progress import print_line

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal for a bar."""
RECENT = 0.9
"""Share that the steps before have in the shown time of a step."""


class Record:
    """metrics.jsonl and TensorBoard files of a run folder.

    Args:
        out: The run folder.
        step: Steps done; what the files hold of later ones, from before the run was stopped, is removed.

    Raises:
        OSError: From any of its methods, if a file cannot be written.
        SixteenfoldError: If the folder's name is none for TensorBoard.
    """

    def __init__(self, out: Path, step: int) -> None:
        self._folder = out
        path = out / "metrics.jsonl"
        _keep_until(path, step)
        with ExitStack() as stack:
            stack.enter_context(_writer_thread())
            self._lines = stack.enter_context(path.open("a", encoding="utf-8"))
            try:
                board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
            except UnicodeEncodeError:
                raise SixteenfoldError(f"{out}: TensorBoard takes no name that is not text; choose another") from None
            self._board = stack.enter_context(closing(board))
            self._open = stack.pop_all()

    def __enter__(self) -> "Record":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def numbers(self, step: int, values: Mapping[str, float], group: str) -> None:
        """Note values of a step; `group` says what they are of, "pixel", "adversarial" or "validation"."""
        line = {"time": round(time.time(), 1), "step": step, "group": group, **values}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{group}/{name}", value, step)

    def picture(self, step: int, shown: Tensor) -> None:
        """Keep a (3, H, W) picture in [0, 1] of a step."""
        self._board.add_image("validation: LR, bicubic, SR, HR", shown, step)
        self._board.flush()
        path = self._folder / SAMPLES / f"{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        write_whole(path, pyvips.Image.new_from_array(to_pixels(shown[None], np.uint8)).write_to_buffer(".png"))


@contextmanager
def _writer_thread() -> Generator[None]:
    """TensorBoard writes in a thread. What the system refuses there its next call raises here; Python would show it
    at once as well, with a traceback."""
    before = threading.excepthook

    def unless_refused(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, OSError):
            before(failure)

    threading.excepthook = unless_refused
    try:
        yield
    finally:
        threading.excepthook = before


def _keep_until(path: Path, step: int) -> None:
    """Drop lines of steps that a resumed run does again, and a line that was cut short."""
    if not path.exists():
        return
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_whole(path, "".join(kept).encode())


class Teller(Protocol):
    """Shows how far a run is."""

    def tell(self, phase: str, step: int, note: str, *, ends: bool) -> None:
        """Steps done, in the named phase, and something to say of them; whether the phase ends with them."""
        ...


@contextmanager
def teller(console: Console | None, steps: int | None, done: int) -> Generator[Teller]:
    """A moving bar on a terminal; elsewhere a line now and then, and one at the end of each phase; nothing on None.

    steps: How many there will be; None where that is not known.
    """
    if console is None:
        yield _Silence()
        return
    if not console.is_terminal:
        yield _Lines(console, steps, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=steps, completed=done, note="")
        yield _Bar(progress, task)


class _Silence:
    def tell(self, phase: str, step: int, note: str, *, ends: bool) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def tell(self, phase: str, step: int, note: str, *, ends: bool) -> None:
        speed = self._progress.tasks[0].speed or 0.0
        self._progress.update(
            self._task, description=f"{phase} phase", completed=step, note=f"{note}, {speed:.2f} steps/s"
        )


class _Lines:
    def __init__(self, console: Console, steps: int | None, done: int) -> None:
        self._console, self._steps, self._step = console, steps, done
        self._said = self._time = time.monotonic()
        self._seconds: float | None = None

    def tell(self, phase: str, step: int, note: str, *, ends: bool) -> None:
        now = time.monotonic()
        took = (now - self._time) / max(1, step - self._step)
        self._seconds = took if self._seconds is None else RECENT * self._seconds + (1 - RECENT) * took
        self._time, self._step = now, step
        if now - self._said >= LINE_EVERY or ends:
            self._said = now
            rate = f"{1 / max(self._seconds, 1e-9):.2f} steps/s"
            where = f"step {step}"
            if self._steps is not None:
                left = round((self._steps - step) * self._seconds)
                where += f" of {self._steps}"
                rate += f", {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
            print_line(self._console, f"{phase} phase, {where}, {note}, {rate}")
