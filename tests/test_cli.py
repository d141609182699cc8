"""The command line: its words, its streams, and the exit statuses."""

import ast
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from sixteenfold import __version__, cli
from sixteenfold.cli import main
from sixteenfold.words import Precision

from .conftest import refused, shell, write

VERBS = ("upscale", "downscale", "train", "evaluate", "convert", "models")


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(f"• {verb} " in said for verb in VERBS)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (
            "upscale",
            "-o --model --device --precision --tile --format --pyramid --scale --size --fidelity "
            "--ensemble --no-consistency --overwrite "
            "--allow-huge --quiet --json",
        ),
        ("downscale", "-o --overwrite --allow-huge"),
        ("convert", "--overwrite"),
        ("train", "--config --hr --val --out --resume --steps --minutes --device --precision"),
        (
            "evaluate",
            "--hr --sr --lr --synthesize --model --name --protocol --metrics --baseline --also --out --allow-huge",
        ),
    ],
)
def test_a_verbs_help_has_its_options(verb: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert [option for option in options.split() if f"{option} " not in said] == []
    # A flag's name says what its default is.
    assert "(default: True)" not in said and "(default: False)" not in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sixteenfold {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hints"),
    [
        ("upscal a.png", ["'upscal'", "did you mean 'upscale'"]),
        ("upscale a.png --modle x", ["--modle", "perhaps you meant --model; see sixteenfold upscale --help"]),
        ("upscale a.png --precision fp64", ["fp64", "--precision", "bf16"]),
        ("upscale a.png --format gif", ["gif", "--format", "png", "avif"]),
        ("upscale a.png --tile large", ["--tile", "large"]),
        ("upscale a.png --tile -1", ["--tile: '-1' is not a whole number above 0; see"]),
        ("upscale a.png --tile", ["Missing value for argument '--tile'; see sixteenfold upscale --help"]),
        ("upscale a.png --scale much", ["--scale: 'much' is not a number; see sixteenfold upscale --help"]),
        ("upscale a.png --fidelity high", ["--fidelity", "high"]),
        ("upscale a.png --size 1920", ["--size", "'1920' is not WIDTHxHEIGHT"]),
        ("upscale", ["INPUT"]),
        ("downscale a.png", ["sixteenfold: Missing: -o OUT; see sixteenfold downscale --help"]),
        ("convert a.pth", ["sixteenfold: Missing: DST; see sixteenfold convert --help"]),
        ("train compact", ["sixteenfold: Missing: --hr DIR..., --out RUN; see sixteenfold train compact --help"]),
        ("evaluate --model a --model=b", ["sixteenfold: --model: is given twice; leave out one"]),
        ("downscale a.png -o x.png --out=y.png", ["sixteenfold: --out: is given twice; leave out one"]),
        ("upscale a.png -o x.png -o y.png", ["sixteenfold: --out: is given twice; leave out one"]),
        ("upscale a.png --resume", ["--resume; see sixteenfold upscale --help; --resume is an option of train"]),
        ("train --batch 2", ["Unrecognized options: --batch 2; Missing: ", "; see sixteenfold train PRESET --help"]),
        (
            "evaluate --hrr a --out b",
            ["sixteenfold: Unrecognized options: --hrr a; Missing: --hr DIR; see sixteenfold"],
        ),
        ("train compact --hr a --out b --pixel.stepz 3", ["--pixel.steps", "see sixteenfold train compact --help"]),
    ],
)
def test_wrong_words_get_one_line(words: str, hints: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, *words.split())
    assert [hint for hint in hints if hint not in said] == []
    assert not set("╭│╰─") & set(said)


def test_a_file_that_is_named_like_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "./" not in refused(capsys, "upscale", "-x.png")
    Path("-x.png").touch()
    assert refused(capsys, "upscale", "-x.png").endswith("; write ./-x.png for the file")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("upscale a.png -o -out.png", "; if -out.png is its value, write -o=-out.png"),
        ("upscale a.png --out -out.png --quiet", "; if -out.png is its value, write --out=-out.png"),
        ("upscale a.png -o -results", "; if -results is its value, write -o=-results"),
        ("upscale a.png -o --overwrite", "--help"),
        ("upscale --model -o=b.png a.png", "--help"),
    ],
)
def test_a_value_that_is_written_like_an_option(
    words: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *words.split()).endswith(hint)
    Path("-out.png").touch()  # where it is there already, one way out is enough
    assert refused(capsys, *words.split()).endswith(hint)


def test_a_result_whose_name_begins_with_a_hyphen(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the line on it says, it is written."""
    write(tmp_path / "a.png", 1, 1)
    monkeypatch.chdir(tmp_path)
    for words in (["-o=-out.png"], ["-o", "./-out.png", "--overwrite"]):
        assert main(["upscale", "a.png", *words, "--model", model]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "-out.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
@pytest.mark.parametrize("words", ["upscale a.png --modle x", "upscale a.png --tile large", "train compact", "upscal"])
def test_a_terminal_gets_the_same_line(words: str) -> None:
    """There tyro colours its box."""
    outside, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "sixteenfold", *words.split()]
    shown = subprocess.run(
        command, env=environment, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False, timeout=120
    )
    os.close(terminal)
    os.close(outside)
    assert shown.stderr == shell(*words.split()).stderr


def test_from_a_shell() -> None:
    done = shell("upscale", "no/such.png", "--modle", "x")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "--modle" in done.stderr


def test_an_empty_word_is_not_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "an argument is empty" in refused(capsys, "upscale", "")
    for option in ("--out=", "-o="):
        assert f"{option} is empty; is a shell variable" in refused(capsys, "upscale", "photo.png", option)


def test_the_words_offered_are_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    from sixteenfold.evaluation import scoring
    from sixteenfold.imaging import formats
    from sixteenfold.upscaling import engine

    first_suffixes = {form.suffixes[0][1:] for form in formats._FORMATS}
    words = refused(capsys, "upscale", "a", "--format", "none").split("(")[1].split(")")[0]
    assert set(ast.literal_eval(f"({words})")) == first_suffixes
    assert set(get_args(Precision)) == {"auto", *engine.PRECISIONS}
    assert main(["evaluate", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"Any of: {', '.join(metric.key for metric in scoring.BUILT_IN)}; or" in told
    assert f"by default {', '.join(scoring.DEFAULT[:-1])} and, if" in told


# --- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_of_any_bytes_from_a_shell(tmp_path: Path, model: str) -> None:
    """A line each on both streams, although a name holds a line's end and another is no text."""
    for name in (b"new\nline", b"\xff\xfe", b"[b]a b[1],Q=3"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/in"))
        write(folder / os.fsdecode(name + b".png"), 1, 1)
        (folder / os.fsdecode(name + b" bad.png")).write_text("no picture")
    done = shell("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    assert done.returncode == 1
    written, failed = done.stdout.splitlines(), done.stderr.splitlines()[1:]
    assert [Path(line).name for line in written] == [
        "[b]a b[1],Q=3_x16.png",
        "new\\nline_x16.png",
        "\\udcff\\udcfe_x16.png",
    ]
    assert len(failed) == 3 and all(line.startswith("sixteenfold: ") for line in failed)
    assert {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()} == {
        *(b"new\nline_x16.png", b"\xff\xfe_x16.png", b"[b]a b[1],Q=3_x16.png")
    }


def test_who_reads_the_output_may_leave(tmp_path: Path, model: str) -> None:
    """As `head` does, after its first lines."""
    write(tmp_path / "in" / "a.png", 1, 1)
    words = ["upscale", tmp_path / "in", "-o", tmp_path / "out", "--json", "--model", model]
    command = [sys.executable, "-m", "sixteenfold", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.readlines() == []
    assert process.returncode == 1
    assert not any((tmp_path / "out").glob("*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a stream that is full, and a POSIX shell")
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("--help >&-", 0, ""),
        ("upscale photo.png --model MODEL --json >&- 2>&- <&-", 0, ""),
        ("models >/dev/full", 2, "sixteenfold: the output cannot be written (No space left on device)\n"),
        ("--version >/dev/full", 2, "sixteenfold: the output cannot be written (No space left on device)\n"),
    ],
)
def test_streams_that_take_nothing(command: str, status: int, said: str, tmp_path: Path, model: str) -> None:
    write(tmp_path / "photo.png", 1, 1)
    line = f"'{sys.executable}' -m sixteenfold {command.replace('MODEL', model)}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a stream that is full")
@pytest.mark.parametrize("way", ["write", "writelines"])
def test_any_way_of_writing_tells_that_the_output_is_full(
    way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(words: object) -> int:
        getattr(sys.stdout, way)("line\n")  # of a word, its letters are the lines
        return 0

    monkeypatch.setattr(cli, "_run", run)
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["models"]) == 2
    assert capsys.readouterr().err == "sixteenfold: the output cannot be written (No space left on device)\n"


def test_lines_that_cannot_be_read_are_not_the_outputs_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Iterator[str]:
        yield "line\n"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cli, "_run", lambda words: sys.stdout.writelines(lines()))
    with pytest.raises(OSError, match="Input/output error"):
        main(["models"])


def test_an_error_of_no_named_file_is_not_told_as_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(words: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cli, "_run", failing)
    with pytest.raises(OSError, match="Input/output error"):
        main(["models"])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_a_file_that_cannot_be_read_is_not_the_outputs_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Path("/proc/self/mem")
    assert refused(capsys, "downscale", bad, "-o", tmp_path / "a.png").startswith(f"sixteenfold: {bad}: cannot be read")
    good = write(tmp_path / "good.png", 16, 16)
    assert main(["downscale", str(bad), str(good), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'good.png'}\n"
