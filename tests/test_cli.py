"""The command line: its words, its exit statuses, and one clear line for every mistake a user can make."""

import ast
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import tifffile
import torch

from sixteenfold import __version__, cli
from sixteenfold.cli import main
from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.read import Metadata, read
from sixteenfold.imaging.resample import downscale, round_to_8_bits
from sixteenfold.imaging.write import BandWriter
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save
from sixteenfold.signals import ASKING
from sixteenfold.upscaling.upscaler import Upscaler
from sixteenfold.words import Precision

VERBS = ("upscale", "downscale", "train", "evaluate", "convert", "models")


def write(path: Path, height: int, width: int) -> Path:
    """A picture file, smooth enough to look like one."""
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with BandWriter(path, width, height, 3, np.uint8, Metadata()) as writer:
        writer.write(ramp)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(Generator(features=4, growth=4, blocks=(1, 1)), path, {})
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr with which a command is refused."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    *before, last = said.splitlines()
    assert last.startswith("sixteenfold: ")
    assert not any(line.startswith("sixteenfold: ") or "Traceback" in line for line in before)
    return last


def shell(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sixteenfold", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


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
    # Of `--no-consistency` this would say the opposite of what is meant.
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


# --- upscale ---------------------------------------------------------------------------------------------------------


def test_upscale_a_file(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 5, 7)
    assert main(["upscale", str(photo), "--model", model]) == 0
    assert read(tmp_path / "photo_x16.png").pixels.shape == (80, 112, 3)


def test_upscale_a_folder_and_go_on_past_a_bad_file(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.png", 3, 3)
    write(tmp_path / "in" / "deeper" / "c.png", 3, 4)
    (tmp_path / "in" / "b.png").write_text("no picture")
    assert main(["upscale", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", model]) == 1
    said = capsys.readouterr()
    assert "b.png" in said.out + said.err
    made = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [path.parent for path in made] == [Path(), Path("deeper")]


def test_existing_results_are_skipped_unless_overwritten(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 3, 3)
    target = tmp_path / "result.png"
    words = ["upscale", str(photo), "-o", str(target), "--model", model]
    assert main(words) == 0
    first = target.stat().st_mtime_ns
    assert main(words) == 0
    assert target.stat().st_mtime_ns == first
    assert f"1 skipped, existing already: {target}; --overwrite makes results anew" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert target.stat().st_mtime_ns > first


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names")
def test_a_pipe_is_no_result_that_exists(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Skipped, it would send the user to --overwrite, which refuses it."""
    photo, picture, weights = write(tmp_path / "photo.png", 2, 3), tmp_path / "a.png", tmp_path / "a.safetensors"
    os.mkfifo(picture)
    os.mkfifo(weights)
    for words in (
        ("upscale", photo, "-o", picture, "--model", model),
        ("downscale", photo, "-o", picture),
        ("convert", model, weights),
    ):
        for options in ((), ("--overwrite",)):
            said = refused(capsys, *words, *options)
            assert said.endswith(": is no ordinary file, and is not replaced; name another place")
    assert picture.is_fifo() and weights.is_fifo()


def test_rows_of_a_stopped_overwrite_are_told_where_its_result_is_skipped(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write(tmp_path / "result.png", 1, 1)
    words = ["upscale", str(write(tmp_path / "photo.png", 2, 3)), "-o", str(target), "--model", model]
    rows = tmp_path / ".result.png.rows"

    def said(*options: str) -> list[str]:
        assert main([*words, *options]) == 0
        return capsys.readouterr().err.splitlines()

    with suppress(RuntimeError), BandWriter(target, 48, 32, 3, np.uint8, Metadata(), "settings"):
        assert len(said()) == 1  # a run that still writes is none that was stopped
        raise RuntimeError
    skipped, left = said()
    assert skipped.startswith("1 skipped, existing already")
    way = "the same options and --overwrite go on, or delete .rows and .key"
    assert left == f"1 begun anew in a run that was stopped: {rows}; {way}"
    assert said("--quiet") == [] and rows.exists()
    said("--overwrite")
    assert not rows.exists() and len(said()) == 1


def test_what_computes_is_told_once_and_only_where_something_is_computed(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "c.png"):
        write(tmp_path / "in" / name, 2, 3)
    (tmp_path / "in" / "b.png").write_text("no picture")
    (tmp_path / "file").touch()

    def lines(*words: object) -> list[str]:
        main(["upscale", *map(str, words), "--model", model, "--device", "cpu"])
        return capsys.readouterr().err.splitlines()

    for refused in (("in/b.png", "result.png"), ("in/a.png", "file/result.png")):
        (line,) = lines(tmp_path / refused[0], "-o", tmp_path / refused[1])
        assert line.startswith("sixteenfold: ")
    told, failed = lines(tmp_path / "in", "-o", tmp_path / "out")
    assert told == Upscaler(model, device="cpu").description and "b.png" in failed
    skipped, failed = lines(tmp_path / "in", "-o", tmp_path / "out")
    assert skipped.startswith("2 skipped") and "b.png" in failed


def test_options_reach_the_upscaler(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 6, 6)
    results = {}
    for name, options in {
        "plain": [],
        "raw": ["--no-consistency"],
        "mean": ["--ensemble"],
        "tiled": ["--tile", "3"],
    }.items():
        target = tmp_path / f"{name}.png"
        assert main(["upscale", str(photo), "-o", str(target), "--model", model, "--device", "cpu", *options]) == 0
        results[name] = read(target).pixels.astype(int)
    assert np.abs(results["raw"] - results["plain"]).max() > 0
    assert np.abs(results["mean"] - results["plain"]).max() > 0
    assert np.abs(results["tiled"] - results["plain"]).max() <= 1


def test_format_chooses_the_suffix(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 2, 3)
    assert main(["upscale", str(photo), "--format", "webp", "--model", model]) == 0
    assert read(tmp_path / "photo_x16.webp").pixels.shape == (32, 48, 3)


def test_a_folder_again_in_another_size_and_format(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "photo.png", 2, 3)
    words = ["upscale", str(tmp_path), "--model", model, "--device", "cpu"]
    for options in ([], ["--scale", "2.5"], ["--size", "20x20"], ["--format", "jpg"]):
        assert main([*words, *options]) == 0
    names = {"photo_x16.png", "photo_x2.5.png", "photo_20x20.png", "photo_x16.jpg"}
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", *names}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"3 left out, named like results of earlier runs, such as {tmp_path / 'photo_'}")
    assert main(["upscale", str(tmp_path / "photo_20x20.png"), *words[2:], "--scale", "2"]) == 0
    assert read(tmp_path / "photo_20x20_x2.png").pixels.shape == (40, 40, 3)


def test_a_folder_with_pictures_that_are_not_read(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.png", 2, 3)
    for name in ("b.bmp", "c.svg", "d.bmp", "notes.txt"):
        (tmp_path / "in" / name).touch()
    line = (
        "3 passed over, of no format that is read (2 .bmp, 1 .svg), "
        f"such as {tmp_path / 'in' / 'b.bmp'}; convert to PNG"
    )
    for verb, options in (("upscale", ["--model", model]), ("downscale", [])):
        assert main([verb, str(tmp_path / "in"), "-o", str(tmp_path / verb), *options]) == 0
        assert capsys.readouterr().err.splitlines()[-1] == line
    assert main(["upscale", str(tmp_path / "in"), "-o", str(tmp_path / "quiet"), "--model", model, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    # So where the only one that is read turns out to be damaged: that may not be the one that was meant.
    (tmp_path / "in" / "a.png").write_text("no picture")
    for verb, options in (("upscale", ["--model", model]), ("downscale", [])):
        assert main([verb, str(tmp_path / "in"), "-o", str(tmp_path / "new"), *options]) == 2
        passed, failed = capsys.readouterr().err.splitlines()
        assert passed == line and failed.startswith(f"sixteenfold: {tmp_path / 'in' / 'a.png'}")


def test_a_result_that_is_named_beside_its_source(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(write(tmp_path / name, 2, 3)) for name in ("a.png", "a_x4.png", "a_x2.png")]
    assert main(["upscale", *names, "--model", model, "--scale", "2"]) == 0
    assert read(tmp_path / "a_x4_x2.png").pixels.shape == (4, 6, 3)  # who names a file means it
    assert not (tmp_path / "a_x2_x2.png").exists()
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"1 left out, being what this command makes of others: {tmp_path / 'a_x2.png'}; "
        "name one without others to use it"
    )


def test_deep_zoom_and_pyramid(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "album"
    write(folder / "photo.png", 20, 30)
    words = ["upscale", str(folder), "--model", model, "--device", "cpu"]
    assert main([*words, "--format", "dzi"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png", "photo_x16.dzi", "photo_x16_files"]
    # The second time its tiles are no pictures to enlarge, and the result is there.
    capsys.readouterr()
    assert main([*words, "--format", "dzi"]) == 0
    assert "1 skipped" in capsys.readouterr().err
    assert main([*words, "--format", "tif", "--pyramid"]) == 0
    with tifffile.TiffFile(folder / "photo_x16.tif") as file:
        assert [page.shape[:2] for page in file.pages] == [(320, 480), (160, 240)]


def test_fidelity_mixes_two_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "MODELS", tmp_path)
    shape = {"features": [4, 4, 4], "growth": [4, 4], "blocks": [1, 1]}
    texts = dict.fromkeys(("purpose", "data", "recipe", "hardware"), "A test.")
    lists = {"licences": [], "known_failures": [], "figures": {}, "steps": 0}
    for seed, name in enumerate(("compact", "compact-fidelity")):
        torch.manual_seed(seed)
        save(Generator(features=4, growth=4, blocks=(1, 1)), tmp_path / f"{name}.safetensors", {})
        card = {"name": name, "shape": shape, **texts, **lists}
        if not seed:
            card["fidelity_partner"] = "compact-fidelity"
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    photo = write(tmp_path / "photo.png", 3, 4)

    def result(*options: str) -> bytes:
        target = tmp_path / "result.png"
        assert main(["upscale", str(photo), "-o", str(target), "--device", "cpu", "--overwrite", *options]) == 0
        return target.read_bytes()

    assert result("--fidelity", "0") == result()
    assert result("--fidelity", "1") == result("--model", "compact-fidelity")
    assert result("--fidelity", "0.5") not in (result(), result("--fidelity", "1"))


def test_smaller_results(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 3, 4)
    words = ["upscale", str(photo), "--model", model, "--device", "cpu"]
    assert main([*words, "--scale", "2.5"]) == 0
    assert read(tmp_path / "photo_x2.5.png").pixels.shape == (8, 10, 3)
    assert main([*words, "--size", "30x40"]) == 0
    assert read(tmp_path / "photo_30x40.png").pixels.shape == (40, 30, 3)
    for spelled in ("20X10", "20\N{MULTIPLICATION SIGN}10"):
        assert main([*words, "--size", spelled]) == 0
        made = tmp_path / "photo_20x10.png"  # the name does not depend on how the size was spelled
        assert read(made).pixels.shape == (10, 20, 3)
        made.unlink()
    assert "at most 64x48" in refused(capsys, *words, "--size", "65x10")


def test_quiet_says_only_what_goes_wrong(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.png", 2, 2)
    words = ["upscale", str(good), str(tmp_path / "missing.png"), "--model", model, "--quiet"]
    for _ in range(2):  # made, then skipped
        assert main(words) == 1
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert "missing.png" in line


def test_json_tells_programs_the_course(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 2, 3)
    assert main(["upscale", str(photo), "--model", model, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["planned", "started", "advanced", "advanced", "written"]
    assert events[-1]["target"] == str(tmp_path / "photo_x16.png")


def test_json_tells_programs_of_inputs_that_give_no_picture(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, empty = tmp_path / "missing.png", tmp_path / "empty"
    empty.mkdir()
    assert main(["upscale", str(missing), str(empty), "--model", model, "--json"]) == 2
    said = capsys.readouterr()
    *failed, planned = [json.loads(line) for line in said.out.splitlines()]
    assert planned == {"event": "planned", "pictures": 0, "skipped": []}
    assert [(event["event"], event["source"]) for event in failed] == [
        ("failed", str(missing)),
        ("failed", str(empty)),
    ]
    assert said.err.splitlines() == [f"sixteenfold: {event['reason']}" for event in failed]


@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_a_missing_input_is_told_as_missing_though_the_results_go_there(
    verb: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, new = write(tmp_path / "photo.png", 2, 2), tmp_path / "new"
    options = ["--model", model] if verb == "upscale" else []
    assert main([verb, str(photo), str(new), "-o", str(new), *options]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"sixteenfold: {new}: does not exist; check the name"
    assert len(list(new.iterdir())) == 1


def test_huge_pictures_are_read_when_allowed(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sixteenfold.imaging.read.MAX_PIXELS", 5)
    words = ["upscale", str(write(tmp_path / "photo.png", 2, 3)), "--model", model]
    refused(capsys, *words)
    assert main([*words, "--allow-huge"]) == 0


def bad_inputs(folder: Path) -> dict[str, Path]:
    """Inputs that cannot be upscaled, by what is wrong with them."""
    (folder / "empty").mkdir()
    (folder / "text.png").write_text("this is no picture")
    (folder / "nothing.png").write_bytes(b"")
    whole = write(folder / "whole.jpg", 64, 64).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    # A PNG header that declares 0 x 0 pixels.
    zero = write(folder / "zero.png", 4, 4)
    zero.write_bytes(zero.read_bytes()[:16] + bytes(8) + zero.read_bytes()[24:])
    return {
        "missing": folder / "missing.png",
        "folder": folder / "empty",
        "text": folder / "text.png",
        "nothing": folder / "nothing.png",
        "cut": folder / "cut.jpg",
        "zero": zero,
    }


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "nothing", "cut", "zero"])
@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_bad_inputs(verb: str, kind: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    bad = bad_inputs(tmp_path)[kind]
    before = set(tmp_path.rglob("*"))
    options = ["--model", model] if verb == "upscale" else []
    said = refused(capsys, verb, bad, "-o", tmp_path / "result.png", *options)
    assert bad.name in said
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_a_single_pixel_is_a_picture(verb: str, tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "dot.png", 1, 1)
    options = ["--model", model] if verb == "upscale" else []
    assert main([verb, str(photo), "-o", str(tmp_path / "result.png"), *options]) == 0
    side = 16 if verb == "upscale" else 1
    assert read(tmp_path / "result.png").pixels.shape == (side, side, 3)


def test_one_bad_file_among_good_ones(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.png", 2, 2)
    words = ["upscale", str(tmp_path / "missing.png"), str(good), "-o", str(tmp_path / "out"), "--model", model]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "missing.png" in said.out + said.err
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_a_file_that_cannot_be_read_is_not_the_outputs_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Path("/proc/self/mem")
    assert refused(capsys, "downscale", bad, "-o", tmp_path / "a.png").startswith(f"sixteenfold: {bad}: cannot be read")
    good = write(tmp_path / "good.png", 16, 16)
    assert main(["downscale", str(bad), str(good), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'good.png'}\n"


def test_an_error_of_no_named_file_is_not_told_as_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(words: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cli, "_run", failing)
    with pytest.raises(OSError, match="Input/output error"):
        main(["models"])


@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_an_empty_folder_among_good_files(
    verb: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, empty = write(tmp_path / "good.png", 2, 2), tmp_path / "empty"
    empty.mkdir()
    options = ["--model", model] if verb == "upscale" else []
    assert main([verb, str(empty), str(good), "-o", str(tmp_path / "out"), *options]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"sixteenfold: {empty}: holds no picture")
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_target_is_a_file_where_a_folder_must_be(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    (tmp_path / "out").write_text("in the way")
    said = refused(capsys, "upscale", photo, "-o", tmp_path / "out" / "result.png", "--model", model)
    assert "out" in said
    assert (tmp_path / "out").read_text() == "in the way"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root may write to")
def test_an_unwritable_target(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    assert "/proc/result.png" in refused(capsys, "upscale", photo, "-o", "/proc/result.png", "--model", model)


def test_a_full_disk(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    said = refused(capsys, "upscale", photo, "-o", tmp_path / "result.png", "--model", model)
    assert "result.png" in said
    assert sorted(tmp_path.iterdir()) == [photo]


def test_a_format_that_cannot_hold_the_result(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "wide.png", 1, 1100)
    said = refused(capsys, "upscale", photo, "--format", "webp", "--model", model)
    assert "16,383" in said
    assert ".png" in said
    assert sorted(tmp_path.iterdir()) == [photo]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--model", "compactt"], "compactt"),
        (["--model", "no/such/file.safetensors"], "no/such/file.safetensors"),
        (["--device", "gpu"], "gpu"),
        (["--tile", "0"], "tile"),
        (["--device", "cpu", "--precision", "fp16"], "fp16"),
        (["--fidelity", "1.5"], "fidelity 1.5: must lie between 0"),
        (["--fidelity", "0.5"], "has no fidelity partner"),
        (["--pyramid"], "photo_x16.png: only a TIFF holds a pyramid"),
    ],
)
def test_unusable_settings(
    options: list[str], hint: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    given = options if "--model" in options else ["--model", model, *options]
    assert hint in refused(capsys, "upscale", photo, *given)
    assert sorted(tmp_path.iterdir()) == [photo]
    # Also when there is nothing to do.
    (tmp_path / "photo_x16.png").touch()
    assert hint in refused(capsys, "upscale", photo, *given)


def test_an_empty_word_is_not_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "one of the words is empty" in refused(capsys, "upscale", "")


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


def test_a_broken_model_file_from_a_shell(tmp_path: Path) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{broken")
    done = shell("upscale", photo, "--model", tmp_path / "model.safetensors")
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_with_130(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(source: Path, target: Path, *, allow_huge: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sixteenfold.imaging.shrink.shrink_file", interrupt)
    photo = write(tmp_path / "photo.png", 2, 2)
    assert main(["downscale", str(photo), "-o", str(tmp_path / "result.png")]) == 130
    assert capsys.readouterr().err == "sixteenfold: interrupted\n"


def test_ctrl_c_while_python_imports_has_its_line_too() -> None:
    program = """
import runpy, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "sixteenfold.words":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
runpy.run_module("sixteenfold", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (130, "sixteenfold: interrupted\n")


def test_several_interrupts_leave_rows_and_no_traceback(tmp_path: Path, model: str) -> None:
    """As from somebody who holds Ctrl-C down."""
    words = ["upscale", write(tmp_path / "photo.png", 400, 300), "--device", "cpu", "--json", "--model", model]
    command = [sys.executable, "-m", "sixteenfold", *map(str, words)]
    # A shell's background job, in which this suite may run, ignores Ctrl-C, and so would what it starts.
    heeding = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, heeding)
    with started as process:
        assert process.stdout is not None and process.stderr is not None
        while '"rows": 256' not in process.stdout.readline():
            pass
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.stderr.readlines()[1:] == ["sixteenfold: interrupted\n"]
    assert process.returncode == 130
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", ".photo_x16.png.key", ".photo_x16.png.rows"}


@pytest.fixture
def asking(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends processes as nothing else was arranged, which of SIGHUP under nohup it is not."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


ends_like_ctrl_c = pytest.mark.parametrize("asking", ASKING, indirect=True)


def about_to_work(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch, instead: Callable[..., object]
) -> list[str]:
    """A command whose verb's work is something else."""
    monkeypatch.setattr("sixteenfold.imaging.shrink.shrink_file", instead)
    monkeypatch.setattr("sixteenfold.training.loop.make_index", instead)
    photo, result = str(write(folder / "photo.png", 2, 2)), str(folder / "result")
    return {
        "downscale": ["downscale", photo, "-o", result + ".png"],
        "train": ["train", "smoke", "--hr", photo, "--out", result, "--device", "cpu"],
    }[verb]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
@pytest.mark.parametrize("verb", ["downscale", "train"])
@ends_like_ctrl_c
def test_a_signal_that_asks_to_end_is_an_interrupt(
    verb: str,
    asking: signal.Signals,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `train`, before its first step."""

    def end(*given: object, **named: object) -> tuple[str, ...]:
        assert signal.getsignal(asking) is not signal.SIG_DFL  # it would end the tests
        signal.raise_signal(asking)
        raise SixteenfoldError("not heeded")

    words = about_to_work(verb, tmp_path, monkeypatch, end)
    assert main(words) == 128 + asking
    assert capsys.readouterr().err == "sixteenfold: interrupted\n"
    assert signal.getsignal(asking) is signal.SIG_DFL
    # As under nohup.
    signal.signal(asking, signal.SIG_IGN)
    assert main(words) == 2
    assert capsys.readouterr().err == "sixteenfold: not heeded\n"
    assert signal.getsignal(asking) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("verb", "asking"),
    [("downscale", signal.SIGTERM), ("downscale", signal.SIGINT), ("train", signal.SIGINT)],
    indirect=["asking"],
)
def test_no_signal_is_lost_where_python_ignores_what_is_raised(
    verb: str,
    asking: signal.Signals,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in the callback by which libvips logs, in the midst of reading or writing a picture."""
    if asking == signal.SIGINT:
        signal.signal(asking, signal.default_int_handler)
    lost: list[int] = []

    class Ignoring:
        def __del__(self) -> None:
            lost.append(1)
            signal.raise_signal(asking)

    def end(*given: object, **named: object) -> tuple[str, ...]:
        assert signal.getsignal(asking) is not signal.SIG_DFL  # it would end the tests
        for ignoring in ([Ignoring()] for _ in range(2)):
            ignoring.clear()
        for _ in range(100):
            time.sleep(0.05)
        return ()

    words = about_to_work(verb, tmp_path, monkeypatch, end)
    hook = sys.unraisablehook
    assert main(words) == 128 + asking
    assert lost == [1, 1]
    assert capfd.readouterr() == ("", "sixteenfold: interrupted\n")
    assert sys.unraisablehook is hook


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
@ends_like_ctrl_c
def test_asked_to_end_it_leaves_rows_and_no_traceback(asking: signal.Signals, tmp_path: Path, model: str) -> None:
    """SIGHUP as from a terminal that is closed, which takes no last line."""
    words = ["upscale", write(tmp_path / "photo.png", 2000, 40), "--device", "cpu", "--model", model]
    command = [sys.executable, "-m", "sixteenfold", *map(str, words)]
    rows = tmp_path / ".photo_x16.png.rows"
    environment = {**os.environ, "TERM": "xterm-256color"}
    outside, terminal = os.openpty()
    os.set_blocking(outside, False)
    shown, said = (terminal, terminal) if asking == signal.SIGHUP else (subprocess.DEVNULL, subprocess.PIPE)
    with (
        os.fdopen(outside, "rb", buffering=0) as window,
        subprocess.Popen(command, env=environment, stdout=shown, stderr=said, text=True) as process,
    ):
        while not (rows.exists() and rows.stat().st_size > 256 * 40 * 16 * 3):
            assert process.poll() is None
            window.read(4096)  # a terminal that nobody looks at is full soon, and whoever writes to it waits
            time.sleep(0.05)
        process.send_signal(asking)
        os.close(terminal)
        window.close()
        if process.stderr is not None:
            assert process.stderr.readlines()[1:] == ["sixteenfold: interrupted\n"]
    assert process.returncode == 128 + asking
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", ".photo_x16.png.key", rows.name}


# --- the other verbs -------------------------------------------------------------------------------------------------


def test_downscale_a_file_and_a_folder(tmp_path: Path) -> None:
    photo = write(tmp_path / "in" / "photo.png", 48, 40)
    expected = round_to_8_bits(downscale(to_tensor(read(photo).pixels)))
    assert main(["downscale", str(photo), "-o", str(tmp_path / "small.png")]) == 0
    assert torch.equal(to_tensor(read(tmp_path / "small.png").pixels), expected)
    assert main(["downscale", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert torch.equal(to_tensor(read(tmp_path / "out" / "photo.png").pixels), expected)


def test_downscale_skips_what_exists_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / "in" / name, 32, 32)
    mine = write(tmp_path / "out" / "a.png", 1, 5)
    words = ["downscale", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'b.png'}\n"
    assert said.err == f"1 skipped, existing already: {mine}; --overwrite makes results anew\n"
    assert read(mine).pixels.shape == (1, 5, 3)
    assert main([*words, "--overwrite"]) == 0
    assert capsys.readouterr().err == ""
    assert read(mine).pixels.shape == (2, 2, 3)


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Generator(features=4, growth=4, blocks=(1, 2)).state_dict()
    torch.save({"params_ema": state}, tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), str(tmp_path / "ours.safetensors")]) == 0
    assert "blocks 1+2" in capsys.readouterr().out
    assert torch.equal(zoo.load(tmp_path / "ours.safetensors").state_dict()["stem.weight"], state["stem.weight"])
    assert "nothing.pth" in refused(capsys, "convert", tmp_path / "nothing.pth", tmp_path / "b.safetensors")


def test_convert_skips_what_exists_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Generator(features=4, growth=4, blocks=(1, 2)).state_dict(), tmp_path / "other.pth")
    ours, folder = tmp_path / "ours.safetensors", tmp_path / "weights"
    ours.write_text("precious")
    words = ["convert", str(tmp_path / "other.pth"), str(ours)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{ours}: skipped, it exists; --overwrite makes it anew\n")
    assert "nothing.pth: does not exist; check the name" in refused(capsys, "convert", tmp_path / "nothing.pth", ours)
    assert "cannot be read (Is a directory)" in refused(capsys, "convert", tmp_path, ours)
    assert ours.read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert zoo.load(ours).blocks == (1, 2)
    folder.mkdir()
    assert "end the name in .safetensors" in refused(capsys, "convert", tmp_path / "other.pth", folder)


def test_a_folder_where_a_result_goes_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, taken = write(tmp_path / "in" / "a.png", 16, 16), tmp_path / "out" / "a.png"
    weights = tmp_path / "taken.safetensors"
    taken.mkdir(parents=True)
    weights.mkdir()
    assert "is a folder" in refused(capsys, "downscale", photo, "-o", taken.parent)
    torch.save(Generator(features=4, growth=4, blocks=(1, 1)).state_dict(), tmp_path / "other.pth")
    assert "Is a directory" in refused(capsys, "convert", tmp_path / "other.pth", weights)


@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_a_source_that_is_not_there_is_told_though_its_result_exists(
    verb: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write(tmp_path / "result.png", 2, 2)
    before = target.read_bytes()
    options = ["--model", model] if verb == "upscale" else []
    assert "missing.png" in refused(capsys, verb, tmp_path / "missing.png", "-o", target, *options)
    assert target.read_bytes() == before


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: {zoo.card(name).purpose}" in said for name in zoo.names())


def test_evaluate(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "hr" / "a.png", 64, 64)
    out = tmp_path / "report"
    words = ["evaluate", "--hr", tmp_path / "hr", "--synthesize", "--model", model, "--metrics", "psnr,ssim"]
    assert main([str(word) for word in (*words, "--baseline", "bicubic", "--baseline", "lanczos", "--out", out)]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: PSNR " in said for name in ("tiny", "bicubic", "lanczos"))
    assert (out / "scores.json").exists()
    assert "psnrr" in refused(capsys, *words[:-1], "psnrr", "--out", tmp_path / "other")
    assert "nothing to evaluate" in refused(capsys, "evaluate", "--hr", tmp_path / "hr", "--out", tmp_path / "other")


def test_evaluate_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "One of --sr, --lr and --synthesize is needed" in told
    assert "file of weights that enlarges; by default the first shipped." in told


def finished_results(folder: Path) -> list[str]:
    """The words that evaluate a folder's sr against its hr."""
    return [
        *("evaluate", "--hr", str(folder / "hr"), "--sr", str(folder / "sr")),
        *("--metrics", "psnr", "--out", str(folder / "out")),
    ]


def test_evaluate_finished_results_beside_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("hr", "sr", "first", "second"):
        write(tmp_path / folder / "a.png", 64, 64)
    words = [word.replace("psnr", "psnr, ssim") for word in finished_results(tmp_path)]
    also = ["--also", f"one={tmp_path / 'first'}", "--also", f"two={tmp_path / 'hr'}"]
    assert main([*words, *also]) == 0
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()[:3]] == ["sr", "one", "two"]
    assert said.err == "warning: two: the only picture is the original itself; PSNR is infinite\n"
    (tmp_path / "first" / "a.png").write_text("no picture")
    write(tmp_path / "hr" / "b.png", 64, 64)
    assert "sr has no b; one has no b" in refused(capsys, *words, "--overwrite", *also[:2])
    assert "holds an earlier report" in refused(capsys, *words)
    assert main([*words, "--overwrite", "--allow-missing", "--name", "ours"]) == 0
    assert capsys.readouterr().out.startswith("ours: PSNR")
    for wrong, hint in (("one", "is not NAME=DIR"), ("=x", "is not NAME=DIR")):
        assert hint in refused(capsys, *words, "--overwrite", "--also", wrong)
    assert "'one' is taken" in refused(capsys, *words, "--overwrite", *also[:2], *also[:2])
    assert "'bilinear': unknown" in refused(capsys, *words, "--synthesize", "--overwrite", "--baseline", "bilinear")


def test_evaluate_says_which_pictures_it_does_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("hr/a.png", "sr/a.png", "sr/b.png"):
        write(tmp_path / name, 64, 64)
    for name in ("hr/b.bmp", "sr/c.svg"):
        (tmp_path / name).touch()
    passed_over, original = "passed over, of no format that is read", tmp_path / "hr" / "b.bmp"
    # Only what may be the one that is missing is named beside it.
    said = refused(capsys, *finished_results(tmp_path))
    line = f"1 {passed_over} (1 .bmp): {original}; convert to PNG"
    assert said.endswith(f"hr has no b (sr); {line}. Add them, or use --allow-missing")
    assert main([*finished_results(tmp_path), "--allow-missing"]) == 0
    line = f"2 {passed_over} (1 .bmp, 1 .svg), such as {original}; convert to PNG"
    assert capsys.readouterr().err.splitlines()[-1] == f"warning: {line}"
    (tmp_path / "sr" / "a.png").unlink()
    original.unlink()
    assert refused(capsys, *finished_results(tmp_path), "--overwrite", "--allow-missing").endswith("every other folder")


def test_evaluate_leaves_a_bad_picture_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("hr/a.png", "sr/a.png", "hr/b.png", "sr/b.png"):
        write(tmp_path / name, 64, 64)
    (tmp_path / "sr" / "b.png").write_text("no picture")
    words = finished_results(tmp_path)
    assert main([str(word) for word in words]) == 1
    line, *more = capsys.readouterr().err.splitlines()
    assert line.startswith("sixteenfold: ") and "b.png" in line and more == []
    assert '"name": "a"' in (tmp_path / "out/scores.json").read_text()
    assert (tmp_path / "sr" / "a.png").unlink() is None
    assert "no picture could be compared" in refused(capsys, *words, "--overwrite", "--allow-missing")


def test_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "hr" / "a.png", 160, 160)
    run = tmp_path / "run"
    assert main(["train", "smoke", "--hr", str(tmp_path / "hr"), "--out", str(run), "--steps", "6"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "model.safetensors")
    assert zoo.load(run / "model.safetensors").features == (16, 8, 8)


def test_one_process_of_many_names_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixteenfold.training import loop

    monkeypatch.setattr(loop, "train", lambda recipe, **others: tmp_path / "model.safetensors")
    for rank, said in (("0", f"{tmp_path / 'model.safetensors'}\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main(["train", "smoke", "--hr", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
        assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["smok"], "did you mean smoke"),
        ([], "either a preset"),
        (["smoke", "--config", "a.json"], "two recipes; leave out one"),
        (["--config", "no/such.json"], "no/such.json"),
        (["smoke", "--steps", "0"], "steps"),
        (["smoke", "--steps", "9", "--minutes", "1"], "two lengths of a run; leave out one"),
    ],
)
def test_wrong_recipes(words: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hint in refused(capsys, "train", *words, "--hr", tmp_path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_without_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("sixteenfold.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    said = refused(capsys, "train", "smoke", "--hr", tmp_path, "--out", tmp_path / "run")
    assert "pip install '.[train]'" in said


def test_a_phase_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixteenfold.training import config, loop

    given: list[config.TrainConfig] = []
    monkeypatch.setattr(loop, "train", lambda recipe, **others: given.append(recipe))
    words = ["train", "smoke", "--hr", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "40"]
    assert main([*words, "--pixel", "None", "--adversarial.lpips", "0.5"]) == 0
    assert main([*words, "--adversarial=none"]) == 0
    assert (given[0].pixel, given[1].adversarial) == (None, None)
    adversarial, pixel = given[0].adversarial, given[1].pixel
    assert adversarial is not None and (adversarial.steps, adversarial.lpips) == (40, 0.5)
    assert pixel is not None and pixel.steps == 40
    assert "both null" in refused(capsys, *words, "--adversarial", "None", "--pixel=None")
    pair = ["--pixel.projected", "--pixel.no-projected"]
    assert "--pixel.projected: is given twice; leave out one" in refused(capsys, *words, *pair)
    for mistake in (["--pixel", "x"], ["--pixel=x"], ["--pixel", "--seed"]):
        said = refused(capsys, *words, *mistake)
        assert "--pixel: takes only None, which leaves it out, not '" in said and "its values are --pixel.NAME" in said
    assert "takes only None, which leaves it out; its values" in refused(capsys, *words, "--adversarial")
    assert "pixel=None" in refused(capsys, *words, "pixel=None")
    assert refused(capsys, *words, "--generator", "None") and refused(capsys, *words, "--data=None")
    said = refused(capsys, *words, "--pixel", "None", "--pixel.patch=64")
    assert "--pixel.patch=64: this recipe has no pixel phase" in said
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"pixel": null, "adversarial": {}}')
    assert main(["train", "--config", str(recipe), *words[2:-2], "--pixel", "None"]) == 0


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
    assert f"Which: {', '.join(metric.key for metric in scoring.BUILT_IN)}; or" in told
    assert f"by default {', '.join(scoring.DEFAULT[:-1])} and, where" in told


def test_any_value_of_the_recipe_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sixteenfold.training import config, loop

    assert tuple(field.name for field in dataclasses.fields(config.TrainConfig)) == cli.RECIPE
    given: list[config.TrainConfig] = []
    monkeypatch.setattr(loop, "train", lambda recipe, **others: given.append(recipe))
    words = ["--pixel.betas", "0.8", "0.9", "--seed=7", "--save-every", "3", "--adversarial.lpips", "0"]
    assert main(["train", "smoke", *words, "--hr", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
    smoke = config.PRESETS["smoke"]
    assert smoke.pixel is not None and smoke.adversarial is not None
    pixel, adversarial = replace(smoke.pixel, betas=(0.8, 0.9)), replace(smoke.adversarial, lpips=0.0)
    assert given == [replace(smoke, pixel=pixel, adversarial=adversarial, seed=7, save_every=3)]


def test_help_names_every_preset_and_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    from sixteenfold.training import config

    assert main(["train", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "").split())
    assert f"before any option: {', '.join(config.PRESETS)}; or" in said
    assert main(["train", "strong", "-h"]) == 0
    said = capsys.readouterr().out
    assert "--hr DIR..." in said
    phase = config.PRESETS["strong"].adversarial
    assert phase is not None
    for field in dataclasses.fields(phase):
        option = f"--adversarial.{field.name.replace('_', '-')}"
        assert f"{option} " in said or f"{option}, {option.replace('.', '.no-')} " in said
    assert "(default: 12000)" in said
    assert "did you mean strong?" in refused(capsys, "train", "strnog", "--help")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--pixel.step", "5"], "--pixel.steps"),
        (["--pixel.steps", "many"], "--pixel.steps: 'many' is not a whole number; see"),
        (["--adversarial.lpips", "much"], "--adversarial.lpips: 'much' is not a number; see"),
        (["--minutes", "1h"], "--minutes: '1h' is not a number; see"),
        (["--adversarial.vgg-patch", "32.5"], "--adversarial.vgg-patch: '32.5' is not a whole number; see"),
        (
            ["--adversarial.lpips-scales", "1,0.5"],
            " it cannot have '1,0.5'; several values are written with spaces between; see",
        ),
        (["--adversarial.discriminator-betas", "0", "x"], "it cannot have '0', 'x'; several values"),
        (["--adversarial.discriminator-betas", "0"], "betas: it cannot have '0'; several values"),
        (["--pixel.steps", "9" * 400], "steps must lie between 1 and 10000000,"),
        (["--pixel.betas", "0", "x"], "it cannot have '0', 'x'; several values"),
        (["--adversarial.patch", "100"], "multiple of 16"),
    ],
)
def test_wrong_values_of_the_recipe(
    words: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint in refused(capsys, "train", "smoke", *words, "--hr", tmp_path, "--out", tmp_path / "run")
