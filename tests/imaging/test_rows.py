"""Rows that wait beside their picture: which are taken, which are kept, and that nobody else has them meanwhile."""

import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import pyvips
from skimage import data

from sixteenfold.errors import NoMemory, SixteenfoldError
from sixteenfold.files.lock import try_lock
from sixteenfold.imaging import rows as rows_module, write as write_module
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.rows import Rows, rows_left
from sixteenfold.imaging.write import rows_to_file

PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[100:140, 180:240])  # 40 x 60


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def some_rows(target: Path, fingerprint: str | None, rows: int, error: BaseException) -> None:
    with writing(target, fingerprint) as writer:
        writer.write(PHOTO[:rows])
        raise error


def write_all_but_encode(target: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are there when the error comes."""

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as encoding:
        encoding.setattr(write_module, "encode", fail)
        with writing(target, "settings") as writer:
            writer.write(PHOTO)


def stopped(target: Path, rows: int, fingerprint: str | None = "settings") -> None:
    with pytest.raises(KeyboardInterrupt):
        some_rows(target, fingerprint, rows, KeyboardInterrupt())


def writing(target: Path, fingerprint: str | None) -> AbstractContextManager[Rows]:
    return rows_to_file(target, 60, 40, 3, np.uint8, Metadata(), fingerprint)


@pytest.mark.parametrize(
    "rows", [PHOTO[:, :59], PHOTO[..., :1], PHOTO.astype(np.uint16), np.concatenate([PHOTO, PHOTO])]
)
def test_wrong_rows_are_a_value_error(tmp_path: Path, rows: np.ndarray) -> None:
    with pytest.raises(ValueError), rows_to_file(tmp_path / "a.png", 60, 40, 3, np.uint8, Metadata()) as writer:
        writer.write(rows)
    assert names(tmp_path) == []


def test_missing_rows_are_a_value_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="only 39 rows"),
        rows_to_file(tmp_path / "a.png", 60, 40, 3, np.uint8, Metadata()) as writer,
    ):
        writer.write(PHOTO[:39])
    assert names(tmp_path) == []


def test_rows_of_an_interrupted_run_are_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    stopped(target, 13)
    with writing(target, "settings") as writer:
        assert writer.written == 13
        writer.write(PHOTO[13:])
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


def test_rows_of_a_killed_run_are_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    stopped(target, 9)
    rows = tmp_path / ".a.png.rows"
    rows.write_bytes(rows.read_bytes() + b"torn")  # a row that did not get there whole
    with writing(target, "settings") as writer:
        assert writer.written == 9
        writer.keep(7)
        writer.write(PHOTO[7:])
    assert np.array_equal(read(target).pixels, PHOTO)


@pytest.mark.parametrize("fingerprint", ["other settings", None])
def test_rows_of_another_run_are_never_mixed_in(tmp_path: Path, fingerprint: str | None) -> None:
    target = tmp_path / "a.png"
    stopped(target, 13)
    with writing(target, fingerprint) as writer:
        assert writer.written == 0
        writer.write(PHOTO[::-1])
    assert np.array_equal(read(target).pixels, PHOTO[::-1])
    assert names(tmp_path) == ["a.png"]


def test_without_a_fingerprint_nothing_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    stopped(target, 13, fingerprint=None)
    assert names(tmp_path) == []


def test_two_writers_of_one_target(tmp_path: Path) -> None:
    """The second would put its rows among the first's."""
    target = tmp_path / "a.png"
    with writing(target, "settings") as first:
        first.write(PHOTO[:9])
        for fingerprint in ("settings", "others", None):
            with pytest.raises(SixteenfoldError, match=r"a\.png: another process is writing it; wait"):
                writing(target, fingerprint).__enter__()
        first.write(PHOTO[9:])
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_who_comes_while_the_scratch_files_are_removed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    """A second writer tries before each removal, and after the last: it is sent away, or finishes in peace."""
    target = tmp_path / "a.png"
    begun: list[tuple[AbstractContextManager[Rows], Rows]] = []
    unlink = Path.unlink

    def try_to_begin() -> None:
        if not begun:
            with suppress(SixteenfoldError):
                block = writing(target, "second")
                begun.append((block, block.__enter__()))

    def watched(self: Path, missing_ok: bool = False) -> None:
        try_to_begin()
        unlink(self, missing_ok)

    with suppress(RuntimeError, KeyboardInterrupt), writing(target, "first") as first:
        first.write(PHOTO)
        monkeypatch.setattr(Path, "unlink", watched)
        if error:
            raise error
    monkeypatch.undo()
    try_to_begin()
    ((block, second),) = begun
    second.write(PHOTO[::-1])
    block.__exit__(None, None, None)
    assert np.array_equal(read(target).pixels, PHOTO[::-1])
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("then", ["nothing", "left", "held"])
def test_a_file_that_was_removed_before_it_could_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Its owner finished just then; a third process may have made it anew, and have it still."""
    target, path = tmp_path / "a.png", tmp_path / ".a.png.rows"
    third: list[BinaryIO] = []

    def late(file: BinaryIO) -> bool:
        monkeypatch.undo()
        path.unlink()
        if then != "nothing":
            third.append(path.open("a+b"))
            assert try_lock(third[0])
        if then == "left":
            third[0].close()
        return try_lock(file)

    monkeypatch.setattr(rows_module, "try_lock", late)
    if then == "held":
        with pytest.raises(SixteenfoldError, match="another process is writing it"):
            writing(target, "settings").__enter__()
        third[0].close()
        assert names(tmp_path) == [path.name]
        return
    with writing(target, "settings") as writer:
        writer.write(PHOTO)
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


def test_rows_stay_when_only_room_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.png"
    stopped(target, 13)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage)  # pyright: ignore[reportUnknownLambdaType]
        with pytest.raises(SixteenfoldError, match=r"make room .*; its rows are kept in \.a\.png\.rows, and the same"):
            writing(target, "settings").__enter__()
    with writing(target, "settings") as writer:
        assert writer.written == 13
        writer.write(PHOTO[13:])


def test_rows_stay_when_the_disk_fills_while_they_come(tmp_path: Path) -> None:
    target = tmp_path / "a.png"

    def fill_up() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with writing(target, "settings") as writer:
            writer.write(PHOTO[:13])
            writer.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / ".a.png.rows").stat().st_size + 100, hard))
            try:
                writer.write(PHOTO[13:])
                writer.flush()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(
        SixteenfoldError, match=r"cannot be written: .*; its rows are kept in \.a\.png\.rows, and the same command"
    ):
        fill_up()
    with writing(target, "settings") as writer:
        assert writer.written >= 13
        writer.write(PHOTO[writer.written :])
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        pyvips.Error("unable to call webpsave_target", "system error: Unknown error -1"),  # as without memory
    ],
    ids=str,
)
def test_rows_stay_when_the_file_cannot_be_made_of_them(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever hinders that: the rows may be the work of hours."""
    target = tmp_path / "a.png"
    with pytest.raises(
        SixteenfoldError, match=r"cannot be written: .*; its rows are kept in \.a\.png\.rows, and the same command"
    ):
        write_all_but_encode(target, failure, monkeypatch)
    with writing(target, "settings") as writer:
        assert writer.written == len(PHOTO)
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


def test_a_failure_leaves_no_rows_even_with_a_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError):
        some_rows(tmp_path / "a.png", "settings", 13, SixteenfoldError("no"))
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [BrokenPipeError, MemoryError, KeyboardInterrupt])
def test_rows_stay_when_something_else_ends_the_run(tmp_path: Path, error: type[BaseException]) -> None:
    """As when nobody reads any more what is told of the course."""
    with pytest.raises(NoMemory if error is MemoryError else error):
        some_rows(tmp_path / "a.png", "settings", 13, error())
    with writing(tmp_path / "a.png", "settings") as writer:
        assert writer.written == 13
        writer.write(PHOTO[13:])
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_rows_stay_when_something_else_ends_the_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """As when Ctrl-C comes once all rows are there."""
    target = tmp_path / "a.png"
    with pytest.raises(NoMemory if error is MemoryError else error):
        write_all_but_encode(target, error(), monkeypatch)
    assert sorted(names(tmp_path)) == [".a.png.key", ".a.png.rows"]
    assert rows_left(target) == tmp_path / ".a.png.rows"
    with writing(target, "settings") as writer:
        assert writer.written == len(PHOTO)
    assert np.array_equal(read(target).pixels, PHOTO)
    assert names(tmp_path) == ["a.png"]


def test_a_stop_before_the_first_row_leaves_nothing(tmp_path: Path) -> None:
    stopped(tmp_path / "a.png", 0)
    assert names(tmp_path) == []


def test_a_stop_before_earlier_rows_are_taken_on_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.png"
    stopped(target, 13)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as beginning:
        beginning.setattr(Rows, "keep", interrupted)
        stopped(target, 0)
    with writing(target, "settings") as writer:
        assert writer.written == 13
        writer.write(PHOTO[13:])


def test_rows_of_a_writer_that_is_dropped_stay_and_are_not_locked(tmp_path: Path) -> None:
    """As when an interrupt comes between the rows and their encoding, and the user tries again in the same program."""
    block = writing(tmp_path / "a.png", "settings")
    block.__enter__().write(PHOTO[:13])
    del block
    with writing(tmp_path / "a.png", "settings") as writer:
        assert writer.written == 13
        writer.write(PHOTO[13:])
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("what", ["rows", "key"])
def test_a_folder_in_the_place_of_the_rows_is_named(tmp_path: Path, what: str) -> None:
    taken = tmp_path / f".a.png.{what}"
    taken.mkdir()
    with pytest.raises(SixteenfoldError) as caught:
        writing(tmp_path / "a.png", "settings").__enter__()
    assert str(caught.value) == f"{tmp_path / 'a.png'}: cannot be written: {taken} is a folder; move it away"


@pytest.mark.parametrize("name", [".a.png.part", ".a.png.rows", ".a.png.key"])
def test_links_at_the_names_of_what_is_half_written_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / name).symlink_to("precious")
    with writing(tmp_path / "a.png", "settings") as writer:
        writer.write(PHOTO)
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(names(tmp_path)) == ["a.png", "precious"] and not (tmp_path / "a.png").is_symlink()
