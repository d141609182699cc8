"""Files in, files out: kind, depth and alpha stay, and a batch goes on past what it cannot do."""

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from rich.console import Console

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import write as write_module
from sixteenfold.imaging.color import fill_transparent, to_pixels, to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.jobs import Job
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import taps
from sixteenfold.imaging.rows import Rows
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling import batch as batch_module, enlargement, picture as picture_module, progress
from sixteenfold.upscaling.alpha import alpha_bands
from sixteenfold.upscaling.batch import upscale_files
from sixteenfold.upscaling.progress import Advanced, Event, Failed, Planned, Skipped, Started, json_lines
from sixteenfold.upscaling.upscaler import Upscaler


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    torch.manual_seed(0)
    return Upscaler(Generator(features=4, growth=4, blocks=(1, 1)), device="cpu")


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    with rows_to_file(path, pixels.shape[1], pixels.shape[0], pixels.shape[2], pixels.dtype, Metadata()) as writer:
        writer.write(pixels)
    return path


def noise(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_file_holds_what_the_upscaler_makes(tmp_path: Path, upscaler: Upscaler, channels: int, dtype: type) -> None:
    # More rows than one band holds.
    pixels = noise(19, 5, channels, dtype)
    report = upscale_files([str(write(tmp_path / "a.png", pixels))], None, lambda: upscaler)
    assert report.written == (tmp_path / "a_x16.png",)
    made = read(tmp_path / "a_x16.png")
    assert made.alpha is None
    assert np.array_equal(made.pixels, to_pixels(upscaler(to_tensor(pixels)), dtype))


def test_one_path_stands_for_several(tmp_path: Path, upscaler: Upscaler) -> None:
    photo = write(tmp_path / "a.png", noise(2, 3, 3))
    assert upscale_files(str(photo), None, lambda: upscaler).written == (tmp_path / "a_x16.png",)
    assert upscale_files(photo, None, lambda: upscaler).skipped == (tmp_path / "a_x16.png",)


def with_alpha(colours: int, alpha: np.ndarray) -> np.ndarray:
    height, width = alpha.shape
    return np.concatenate((noise(height, width, colours), alpha[..., None]), axis=2)


@pytest.mark.parametrize("colours", [1, 3])
def test_alpha_is_enlarged_as_a_mask(tmp_path: Path, upscaler: Upscaler, colours: int) -> None:
    alpha = noise(37, 6, 1)[..., 0]
    upscale_files([write(tmp_path / "a.png", with_alpha(colours, alpha))], None, lambda: upscaler)
    made = read(tmp_path / "a_x16.png")
    assert made.pixels.shape == (37 * 16, 96, colours)
    expected = torch.cat(list(alpha_bands(to_tensor(alpha[..., None]), (37 * 16, 96), upscaler, 0)), dim=2)
    assert made.alpha is not None and np.array_equal(made.alpha, to_pixels(expected, np.uint8)[..., 0])


@pytest.mark.parametrize("value", [0, 77, 255])
def test_alpha_of_one_value_stays(tmp_path: Path, upscaler: Upscaler, value: int) -> None:
    photo = write(tmp_path / "a.png", with_alpha(3, np.full((20, 3), value, np.uint8)))
    upscale_files([photo], None, lambda: upscaler)
    made = read(tmp_path / "a_x16.png").alpha
    assert made is not None and made.shape == (320, 48) and (made == value).all()


def test_colour_under_transparency_makes_no_halo(tmp_path: Path, upscaler: Upscaler) -> None:
    pixels = np.full((8, 8, 4), 200, np.uint8)
    pixels[..., 3] = 255
    seen = upscale_files([write(tmp_path / "seen.png", pixels)], None, lambda: upscaler)
    pixels[:, 4:] = 0
    hidden = upscale_files([write(tmp_path / "hidden.png", pixels)], None, lambda: upscaler)
    assert np.array_equal(read(seen.written[0]).pixels, read(hidden.written[0]).pixels)


def test_pytorchs_defaults_change_no_result(tmp_path: Path, other_defaults: AbstractContextManager[None]) -> None:
    photo = write(tmp_path / "a.png", with_alpha(3, noise(19, 5, 1)[..., 0]))
    generator = Generator(features=4, growth=4, blocks=(1, 1))
    (usual,) = upscale_files(photo, tmp_path / "usual.png", Upscaler(generator, device="cpu"), size=(61, 203)).written
    taps.cache_clear()
    with other_defaults:
        (made,) = upscale_files(photo, tmp_path / "made.png", Upscaler(generator, device="cpu"), size=(61, 203)).written
    assert made.read_bytes() == usual.read_bytes()


def test_a_batch_goes_on_and_tells(tmp_path: Path, upscaler: Upscaler) -> None:
    write(tmp_path / "in" / "a.png", noise(2, 2, 3))
    (tmp_path / "in" / "b.png").write_text("no picture")
    write(tmp_path / "in" / "c.png", noise(2, 2, 3))
    write(tmp_path / "out" / "a_x16.png", noise(1, 1, 3))
    report = upscale_files([tmp_path / "in"], tmp_path / "out", lambda: upscaler)
    assert report.skipped == (tmp_path / "out" / "a_x16.png",)
    assert report.written == (tmp_path / "out" / "c_x16.png",)
    assert len(report.failures) == 1
    assert "b.png" in report.failures[0]
    assert read(tmp_path / "out" / "a_x16.png").pixels.shape == (1, 1, 3)
    again = upscale_files([tmp_path / "in"], tmp_path / "out", lambda: upscaler, overwrite=True)
    assert (len(again.written), len(again.skipped)) == (2, 0)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_that_another_process_makes_meanwhile_is_skipped(
    tmp_path: Path, upscaler: Upscaler, overwrite: bool
) -> None:
    for name in "ab":
        write(tmp_path / "in" / f"{name}.png", noise(2, 2, 3))
    events: list[Event] = []

    def watch(event: Event) -> None:
        events.append(event)
        if isinstance(event, Started) and event.source.name == "b.png":
            write(tmp_path / "in" / "b_x16.png", noise(1, 1, 3))

    report = upscale_files(tmp_path / "in", None, upscaler, overwrite=overwrite, watch=watch)
    a, b = (tmp_path / "in" / f"{name}_x16.png" for name in "ab")
    assert (report.written, report.skipped) == (((a, b), ()) if overwrite else ((a,), (b,)))
    assert (Skipped(tmp_path / "in" / "b.png", b) in events) != overwrite
    assert read(b).pixels.shape == ((32, 32, 3) if overwrite else (1, 1, 3))
    assert not list((tmp_path / "in").glob(".*")) and report.failures == ()


def test_what_no_format_holds_is_said_before_any_work(tmp_path: Path, upscaler: Upscaler) -> None:
    photo = write(tmp_path / "wide.png", noise(1, 1100, 3))
    (said,) = upscale_files([photo], tmp_path / "new" / "wide.webp", lambda: upscaler).failures
    assert "16,383" in said
    assert sorted(tmp_path.iterdir()) == [photo]


@pytest.mark.parametrize(
    ("options", "name", "shape"),
    [
        ({"scale": 4}, "a_x4.png", (76, 20)),
        ({"scale": 2.5}, "a_x2.5.png", (48, 12)),
        ({"size": (33, 200)}, "a_33x200.png", (200, 33)),
    ],
)
def test_smaller_results_are_the_large_one_reduced(
    tmp_path: Path, upscaler: Upscaler, options: dict, name: str, shape: tuple[int, int]
) -> None:
    pixels = noise(19, 5, 4)
    report = upscale_files([write(tmp_path / "a.png", pixels)], None, lambda: upscaler, **options)
    assert report.written == (tmp_path / name,)
    made = read(tmp_path / name)
    seen = to_tensor(fill_transparent(pixels[..., :3], pixels[..., 3]))
    assert np.array_equal(made.pixels, to_pixels(torch.cat(list(upscaler.bands(seen, size=shape)), 2), np.uint8))
    assert made.alpha is not None and made.alpha.shape == shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 1}, "scale 1"),
        ({"scale": 17}, "scale 17"),
        ({"size": (0, 5)}, "size 0x5"),
        ({"size": "5x5"}, r"size: expected \(width, height\) in whole pixels, not '5x5'"),
        ({"size": (True, True)}, r"size: expected \(width, height\)"),
        ({"size": 64}, r"size: expected \(width, height\) in whole pixels, not 64"),
        ({"size": (5.0, 5)}, r"size: expected \(width, height\)"),
        ({"scale": "4"}, "scale: expected a number, not '4'"),
        ({"scale": 4, "size": (5, 5)}, "only one"),
    ],
)
def test_impossible_sizes_are_refused(tmp_path: Path, upscaler: Upscaler, options: dict, words: str) -> None:
    photo = write(tmp_path / "a.png", noise(19, 5, 3))
    with pytest.raises(SixteenfoldError, match=words):
        upscale_files([photo], None, lambda: upscaler, **options)
    assert list(tmp_path.iterdir()) == [photo]


def test_a_size_that_a_picture_does_not_reach(tmp_path: Path, upscaler: Upscaler) -> None:
    photo = write(tmp_path / "a.png", noise(19, 5, 3))
    (said,) = upscale_files([photo], None, lambda: upscaler, size=(81, 10)).failures
    assert "at most 80x304" in said
    assert list(tmp_path.iterdir()) == [photo]


class Stopping(Upscaler):
    """An upscaler that is interrupted after some bands, and counts them; another does its work."""

    def __init__(self, upscaler: Upscaler, stop_after: int | None = None, settings: str = "") -> None:
        self._upscaler = upscaler
        self._stop_after = stop_after
        self._settings = settings
        self.for_masks = self
        self.made = 0

    @property
    def fingerprint(self) -> str:
        return self._upscaler.fingerprint + self._settings

    def bands(self, lr: torch.Tensor, *, size: tuple[int, int] | None = None, skip: int = 0) -> Iterator[torch.Tensor]:
        for band in self._upscaler.bands(lr, size=size, skip=skip):
            if self.made == self._stop_after:
                raise KeyboardInterrupt
            self.made += 1
            yield band


def run(photo: Path, stopping: Stopping, **options) -> None:
    upscale_files([photo], None, stopping, **options)


@pytest.mark.parametrize("options", [{}, {"scale": 5}])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_interrupted_picture_is_gone_on_with(
    tmp_path: Path, upscaler: Upscaler, channels: int, options: dict
) -> None:
    pixels = noise(70, 4, channels)
    whole = write(tmp_path / "whole.png", pixels)
    run(whole, Stopping(upscaler), **options)
    photo = write(tmp_path / "stopped.png", pixels)
    planes = 1 + (channels == 4)
    with pytest.raises(KeyboardInterrupt):
        run(photo, Stopping(upscaler, stop_after=2 * planes), **options)
    assert not list(tmp_path.glob("stopped_*"))
    rest = Stopping(upscaler)
    run(photo, rest, **options)
    bands = len(upscaler.band_rows(70, 350 if options else None))
    assert rest.made == (bands - 2) * planes
    (expected,), (made,) = tmp_path.glob("whole_*"), tmp_path.glob("stopped_*")
    assert expected.read_bytes() == made.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([whole, photo, expected, made])


@pytest.mark.parametrize("changed", ["picture", "settings", "size"])
def test_stale_rows_are_never_mixed_in(tmp_path: Path, upscaler: Upscaler, changed: str) -> None:
    pixels = noise(70, 4, 3)
    photo = write(tmp_path / "a.png", pixels)
    target = tmp_path / "result.png"
    with pytest.raises(KeyboardInterrupt):
        upscale_files([photo], target, lambda: cast(Upscaler, Stopping(upscaler, stop_after=3)))
    if changed == "picture":
        write(photo, 255 - pixels)
    again = Stopping(upscaler, settings="others" if changed == "settings" else "")
    size = (64, 1000) if changed == "size" else None
    upscale_files([photo], target, lambda: cast(Upscaler, again), size=size)
    assert again.made == len(upscaler.band_rows(70, 1000 if size else None))
    seen = to_tensor(255 - pixels if changed == "picture" else pixels)
    expected = torch.cat(list(upscaler.bands(seen, size=(1000, 64) if size else None)), dim=2)
    assert np.array_equal(read(target).pixels, to_pixels(expected, np.uint8))


def test_rows_with_alpha_by_another_network_are_stale(tmp_path: Path, upscaler: Upscaler) -> None:
    photo = write(tmp_path / "a.png", noise(2, 3, 4))
    picture = picture_module.open_picture(Job(photo, tmp_path / "b.png"), picture_module.Size(), allow_huge=False)
    first, second = Stopping(upscaler), Stopping(upscaler)
    second.for_masks = Stopping(upscaler, settings="others")
    assert picture_module.fingerprint(picture, first) != picture_module.fingerprint(picture, second)


def test_a_failure_while_rows_are_written_leaves_nothing(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write(tmp_path / "a.png", noise(40, 4, 3))

    def full(self: Rows, rows: np.ndarray) -> None:
        raise SixteenfoldError("the disk is full")

    monkeypatch.setattr(Rows, "write", full)
    assert upscale_files([photo], None, lambda: upscaler).failures == ("the disk is full",)
    assert list(tmp_path.iterdir()) == [photo]


def test_a_picture_that_no_memory_holds_does_not_end_the_batch(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = write(tmp_path / "small.png", noise(2, 2, 3)), write(tmp_path / "large.png", noise(2, 9, 3))
    resize = enlargement.resize

    def with_little_memory(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if size[1] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return resize(image, size)

    monkeypatch.setattr(enlargement, "resize", with_little_memory)
    report = upscale_files([large, small], None, lambda: upscaler)
    assert report.failures == (f"{large}: out of memory: free some, or use another device",)
    assert report.written == (tmp_path / "small_x16.png",)


@pytest.mark.parametrize("stage", ["open_picture", "fingerprint", "finish"])
def test_memory_that_is_missing_outside_the_network_does_not_end_the_batch(
    stage: str, tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [write(tmp_path / f"{name}.png", noise(2, 2, 3)) for name in "abc"]
    module, name = {
        "open_picture": (batch_module, "open_picture"),
        "fingerprint": (picture_module, "fingerprint"),
        "finish": (write_module, "encode"),
    }[stage]
    work = getattr(module, name)

    def with_little_memory(*arguments: Any, **options: Any) -> Any:
        if re.search(r"/\.?b[._]", str(arguments)):
            raise MemoryError
        return work(*arguments, **options)

    monkeypatch.setattr(module, name, with_little_memory)
    report = upscale_files(photos, None, upscaler)
    about = tmp_path / "b_x16.png" if stage == "finish" else photos[1]
    assert len(report.failures) == 1
    assert report.failures[0].startswith(f"{about}: does not fit into memory; free some, or give a smaller file")
    assert report.failures[0].endswith("continues from them") == (stage == "finish")
    assert report.written == (tmp_path / "a_x16.png", tmp_path / "c_x16.png")


def test_a_picture_that_is_done_is_let_go_of_though_the_wait_for_the_one_before_is_interrupted(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [write(tmp_path / f"{name}.png", noise(2, 2, 3)) for name in "ab"]
    settle = batch_module._Batch._settle

    def interrupted(self: Any, encoded: Any) -> None:
        if encoded is not None:
            raise KeyboardInterrupt
        settle(self, encoded)

    with monkeypatch.context() as patched:
        patched.setattr(batch_module._Batch, "_settle", interrupted)
        with pytest.raises(KeyboardInterrupt) as kept:  # as a notebook keeps it, with all that it refers to
            upscale_files(photos, None, upscaler)
    assert upscale_files(photos, None, upscaler).failures == ()
    assert (tmp_path / "b_x16.png").exists() and kept


def test_memory_that_is_missing_for_the_file_does_not_end_the_batch(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = write(tmp_path / "small.png", noise(2, 2, 3)), write(tmp_path / "large.png", noise(2, 9, 3))

    def with_little_memory(rows: torch.Tensor, dtype: np.dtype) -> np.ndarray:
        if rows.shape[3] > 100:
            raise MemoryError
        return to_pixels(rows, dtype)

    monkeypatch.setattr(picture_module, "to_pixels", with_little_memory)
    report = upscale_files([large, small], None, lambda: upscaler)
    assert report.failures == (f"{large}: out of memory: free some, or use another device",)
    assert report.written == (tmp_path / "small_x16.png",)


def test_events_tell_the_course(tmp_path: Path, upscaler: Upscaler) -> None:
    write(tmp_path / "in" / "a.png", noise(20, 2, 3))
    (tmp_path / "in" / "b.png").write_text("no picture")
    stream = io.StringIO()
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / name for name in ("empty", "missing.png", "in")]
    upscale_files(inputs, tmp_path, lambda: upscaler, watch=json_lines(stream))
    empty, missing, planned, *events = [json.loads(line) for line in stream.getvalue().splitlines()]
    for refused, source in ((empty, inputs[0]), (missing, inputs[1])):
        assert refused["event"] == "failed" and refused["source"] == str(source)
    assert planned == {"event": "planned", "pictures": 2, "skipped": []}
    of_a = [event for event in events if event["source"].endswith("a.png")]
    assert [event["event"] for event in of_a] == ["started", "advanced", "advanced", "advanced", "written"]
    assert [event["rows"] for event in of_a[1:4]] == [0, 256, 320]
    assert of_a[0]["width"] == 32 and of_a[-1]["target"] == str(tmp_path / "a_x16.png")
    (failed,) = [event for event in events if event not in of_a]
    assert failed["event"] == "failed" and "b.png" in failed["reason"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_shows_a_line_for_each_result(tmp_path: Path, upscaler: Upscaler, terminal: bool) -> None:
    write(tmp_path / "in" / "a.png", noise(2, 2, 3))
    write(tmp_path / "in" / "b.png", noise(2, 2, 3))
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    upscale_files([tmp_path / "in"], tmp_path, lambda: upscaler, console=console)
    shown = cast(io.StringIO, console.file).getvalue()
    assert shown.index("a_x16.png") < shown.index("b_x16.png")
    assert ("MP/s" in shown) == ("2/2" in shown) == terminal


def test_the_bar_counts_what_fails_after_its_start_once() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    a, b, c, d = map(Path, ("a.png", "b.png", "c.png", "d.png"))
    with progress.shown_on(console) as tell:
        tell(Planned(4, ()))
        for event in (Started(a, a, 32, 32), Failed(b, "unread"), Started(c, c, 32, 32), Failed(a, "disk full")):
            tell(event)
        tell(Started(d, d, 32, 32))
    shown = cast(io.StringIO, console.file).getvalue()
    assert "3/3 d.png" in shown


A, B, C, D = map(Path, ("a.png", "b.png", "c.png", "d.png"))
HALF_OF_A = (Started(A, A, 1000, 1000), Advanced(A, 0, 1000, 0.0), Advanced(A, 500, 1000, 0.5))


def all_of(source: Path) -> tuple[Event, ...]:
    return Started(source, source, 1000, 1000), Advanced(source, 0, 1000, 0.0), Advanced(source, 1000, 1000, 1.0)


@pytest.mark.parametrize(
    ("events", "percentage"),
    [
        ((Planned(4, ()), *HALF_OF_A, *all_of(B)), 38),  # for comparison: 1.5 of 4
        ((Planned(2, ()), *HALF_OF_A, Failed(A, "weights damaged"), *all_of(B)), 100),
        ((Planned(4, ()), *HALF_OF_A, Failed(A, "weights damaged"), *all_of(B)), 43),  # 1.5 of 3.5
        ((Planned(4, ()), *all_of(A), *all_of(B), Failed(A, "disk full"), *all_of(C)), 75),
        # Of nothing but one that was far too large nothing is concluded for those to come.
        ((Planned(2, ()), Started(A, A, 10**5, 10**5), Failed(A, "no room"), *all_of(B)), 100),
        # The last two cannot be read, of which nothing begins.
        ((Planned(4, ()), *all_of(A), *all_of(B), Failed(C, "unread"), Failed(D, "unread")), 100),
        # Half of A was there from a run that was stopped.
        ((Planned(2, ()), HALF_OF_A[0], Advanced(A, 500, 1000, 0.0), Failed(A, "disk full"), *all_of(B)), 100),
    ],
)
def test_the_bar_counts_of_a_failed_picture_what_was_made(events: tuple[Event, ...], percentage: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with progress.shown_on(console) as tell:
        for event in events:
            tell(event)
    shown = cast(io.StringIO, console.file).getvalue()
    assert re.findall(r"(\d+)%", shown)[-1] == str(percentage)


def test_lines_on_stderr_stay_there_unless_it_is_the_terminal(
    tmp_path: Path, upscaler: Upscaler, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(target: str) -> str:
        console = Console(file=io.StringIO(), force_terminal=True, width=200)
        photo = write(tmp_path / "a.png", noise(2, 2, 3))
        upscale_files(
            [photo], tmp_path / target, lambda: upscaler, console=console, say=lambda line: print(line, file=sys.stderr)
        )
        return cast(io.StringIO, console.file).getvalue()

    assert upscaler.description not in shown("kept.png")
    assert capsys.readouterr().err == f"{upscaler.description}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert upscaler.description in shown("seen.png")
    assert capsys.readouterr().err == ""


def test_a_long_picture_says_where_it_is_without_a_terminal(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    console = Console(file=io.StringIO(), width=200)
    upscale_files([write(tmp_path / "a.png", noise(40, 2, 3))], None, lambda: upscaler, console=console)
    shown = cast(io.StringIO, console.file).getvalue()
    assert "a.png: 40 %" in shown and "megapixels/s" in shown


def test_a_low_speed_is_not_called_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=iter((0, 0, 40)).__next__))
    console = Console(file=io.StringIO(), width=200)
    with progress.shown_on(console) as tell:
        tell(Started(A, A, 320, 256))
        tell(Advanced(A, 128, 256, 0.0512))
    assert "a.png: 50 %, 0.00128 megapixels/s" in cast(io.StringIO, console.file).getvalue()


def test_a_format_is_a_suffix_with_or_without_its_dot(upscaler: Upscaler, tmp_path: Path) -> None:
    photo = write(tmp_path / "a.png", noise(2, 2, 3))
    assert upscale_files(photo, None, upscaler, format=".tif").written == (tmp_path / "a_x16.tif",)
    for wrong in ("bmp", "", "a/b"):
        with pytest.raises(SixteenfoldError, match=r"cannot write .*\(known: \.png"):
            upscale_files(photo, None, upscaler, format=wrong)


@pytest.mark.parametrize("inputs", ["", ["a.png", ""]])
def test_an_empty_name_is_not_the_current_folder(inputs: Any, tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError, match="inputs: the name is empty"):
        upscale_files(inputs, tmp_path, Upscaler)


@pytest.mark.parametrize("inputs", [None, 3, b"a.png", ["a.png", None]])
def test_what_is_no_path_is_told_as_that(inputs: Any, tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError, match=r"^inputs: expected a name or a path, not (NoneType|int)$"):
        upscale_files(inputs, tmp_path, Upscaler)


def test_an_upscaler_or_what_makes_one(upscaler: Upscaler, tmp_path: Path) -> None:
    photo = write(tmp_path / "a.png", noise(2, 2, 3))
    for i, able in enumerate((upscaler, lambda: upscaler)):
        report = upscale_files(photo, tmp_path / f"{i}.png", able)
        assert report.written == (tmp_path / f"{i}.png",)
    for wrong in ("compact", None, torch.nn.Identity()):
        with pytest.raises(SixteenfoldError, match=r"^upscaler: (str|NoneType|Identity) is neither an Upscaler nor a"):
            upscale_files(photo, None, cast(Any, wrong))
    with pytest.raises(SixteenfoldError, match=r"^upscaler: the function returned str, not an Upscaler"):
        upscale_files(photo, None, cast(Any, lambda: "compact"))
