"""`evaluate`: what it compares, writes and says of pictures that cannot be compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from sixteenfold.cli import main

from ..conftest import refused, write


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
    assert "One of --sr, --lr and --synthesize is required" in told
    assert "weights file to enlarge with; by default the first shipped." in told


OF_ENLARGING = (["--fidelity", "0.5"], ["--ensemble"], ["--no-consistency"], ["--tile", "8"])


def test_evaluate_scores_what_upscale_makes_with_the_same_options(tmp_path: Path) -> None:
    write(tmp_path / "hr" / "a.png", 48, 64)
    hr, lr, sr = (str(tmp_path / name) for name in ("hr", "lr", "sr"))
    assert main(["downscale", hr, "--out", lr]) == 0
    common, scored = ["--model", "compact", "--device", "cpu"], ["--metrics", "psnr", "--out"]
    options = [word for words in OF_ENLARGING for word in words]

    def scores(out: str, *words: str) -> dict[str, Any]:
        assert main(["evaluate", "--hr", hr, *words, *scored, str(tmp_path / out)]) == 0
        return json.loads((tmp_path / out / "scores.json").read_text())

    assert main(["upscale", lr, "--out", sr, *common, *options]) == 0
    mixed, plain = scores("mixed", "--lr", lr, *common, *options), scores("plain", "--lr", lr, *common)
    assert mixed["images"] == scores("finished", "--sr", sr)["images"] != plain["images"]
    assert mixed["facts"]["fidelity"].startswith("0.5: ") and "eight" in mixed["facts"]["ensemble"]
    assert "no back-projection" in mixed["facts"]["consistency"] and mixed["facts"]["tile"].startswith("8 pixels")
    assert not {"fidelity", "ensemble", "tile"} & plain["facts"].keys()


@pytest.mark.parametrize("option", OF_ENLARGING, ids=lambda words: words[0])
def test_evaluate_enlarges_no_finished_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    for folder in ("hr", "sr"):
        write(tmp_path / folder / "a.png", 64, 64)
    said = refused(capsys, *finished_results(tmp_path), *option)
    assert f"{option[0]}: finished results (--sr) are not enlarged again; leave out one" in said
    assert not (tmp_path / "out").exists()


def test_evaluate_and_upscale_explain_the_same_options_alike(capsys: pytest.CaptureFixture[str]) -> None:
    helps: list[str] = []
    for verb in ("upscale", "evaluate"):
        assert main([verb, "--help"]) == 0
        helps.append(" ".join(capsys.readouterr().out.replace("│", "").split()))
    for told in (
        "--tile N Tile side in input pixels; smaller",
        "--fidelity X 0 to 1: mix the weights of",
        "--ensemble Average over the eight flips",
        "--no-consistency Leave the network's output",
    ):
        assert all(told in one for one in helps), told


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
    passed_over, original = "skipped, not in a supported format", tmp_path / "hr" / "b.bmp"
    # Only what may be the one that is missing is named beside it.
    said = refused(capsys, *finished_results(tmp_path))
    line = f"1 {passed_over} (1 .bmp): {original}; convert to PNG"
    assert said.endswith(f"hr has no b (sr); {line}. Add them, or use --allow-missing (in Python allow_missing=True)")
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
