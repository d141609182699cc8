"""What verbs that turn files into files have in common: bad inputs, results in the way."""

import os
import sys
from pathlib import Path

import pytest
import torch

from sixteenfold.cli import main
from sixteenfold.imaging.read import read
from sixteenfold.networks.generator import Generator

from ..conftest import refused, write


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
            assert said.endswith(": is not a regular file, so it is not replaced; choose another path")
    assert picture.is_fifo() and weights.is_fifo()


def test_a_folder_with_pictures_that_are_not_read(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.png", 2, 3)
    for name in ("b.bmp", "c.svg", "d.bmp", "notes.txt"):
        (tmp_path / "in" / name).touch()
    line = f"3 skipped, not in a supported format (2 .bmp, 1 .svg), such as {tmp_path / 'in' / 'b.bmp'}; convert to PNG"
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


@pytest.mark.parametrize("verb", ["upscale", "downscale"])
def test_a_missing_input_is_told_as_missing_though_the_results_go_there(
    verb: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, new = write(tmp_path / "photo.png", 2, 2), tmp_path / "new"
    options = ["--model", model] if verb == "upscale" else []
    assert main([verb, str(photo), str(new), "-o", str(new), *options]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"sixteenfold: {new}: does not exist; check the name"
    assert len(list(new.iterdir())) == 1


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
