"""What a run says while it goes on: on stderr, to be read."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import pytest
import pyvips

from sixteenfold.training import record, start
from sixteenfold.training.config import DataConfig
from sixteenfold.training.loop import train

from .conftest import CONFIG, CONSOLE, PIXEL, rows


def test_names_are_told_as_they_are(photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What looks like the console's markup is not taken for it, and a line break makes no line."""
    odd = tmp_path / "odd["
    odd.mkdir()
    for name in ("b].png", "b]_x16.png", "[red].png", "[new\nline.png"):
        (odd / name).write_bytes(b"no picture")
    (odd / "a.bmp").touch()
    (odd / "[").mkdir()
    (odd / "[" / "b].png").write_bytes(b"no picture")  # "[/b]" closes what was never opened
    phase = dataclasses.replace(PIXEL, steps=1, warmup=0)
    run = tmp_path / "[blue]run"
    val = tmp_path / "val"
    val.mkdir()
    for name, side in (("a.png", 40), *((f"{i}.png", 20) for i in range(4))):
        pyvips.Image.black(side, side).write_to_file(str(val / name))
    (val / "b.bmp").touch()
    train(
        dataclasses.replace(CONFIG, pixel=phase), hr=[photographs, odd], val=val, out=run, device="cpu", console=CONSOLE
    )
    said = capfd.readouterr().err.splitlines()
    assert any(line.endswith(f"run folder {run}") for line in said)
    (skipped,) = (line for line in said if line.startswith("4 pictures skipped: "))
    for name in ("[/b].png", "[new\\nline.png", "[red].png"):
        assert f"{odd}/{name}: is not a picture in a known format" in skipped
    assert skipped.endswith("; and 1 more")
    results = [line for line in said if "_x16" in line]
    assert results == [
        f"1 left out, named like what upscale or train makes: {odd}/b]_x16.png; name one itself to use it"
    ]
    assert f"1 skipped, not in a supported format (1 .bmp): {odd}/a.bmp; convert to PNG" in said
    (small,) = (line for line in said if line.startswith("validation: 4 pictures skipped: "))
    assert small.startswith(f"validation: 4 pictures skipped: {val}/0.png: 20x20 is smaller than 32x32; ")
    assert small.endswith("; and 1 more")
    assert f"validation: 1 skipped, not in a supported format (1 .bmp): {val}/b.bmp; convert to PNG" in said
    # Gone on with, the run keeps to its photographs: what was left aside is no news.
    train(
        dataclasses.replace(CONFIG, pixel=phase),
        hr=[photographs, odd],
        val=val,
        out=run,
        resume=True,
        device="cpu",
        console=CONSOLE,
    )
    again = capfd.readouterr().err
    assert "\n4 pictures skipped: " in "\n" + again and "_x16" not in again and "a.bmp" not in again


def test_without_a_console_nothing_is_said(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "LINE_EVERY", 0.0)
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    train(CONFIG, hr=[photographs, tmp_path], val=photographs, out=tmp_path / "run", device="cpu")
    heard = capfd.readouterr()
    assert (heard.out, heard.err) == ("", "")


def test_one_is_no_plural(photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=1, warmup=0))
    train(one, hr=[photographs / "0.png"], out=tmp_path / "run", device="cpu", console=CONSOLE)
    assert "\n1 photograph, 0 for" in "\n" + capfd.readouterr().err
    for minutes, said in ((1.0, "1 minute in all"), (1.5, "1.5 minutes in all")):
        assert start._ahead(dataclasses.replace(one, minutes=minutes), 0) == f"from step 0, for {said}"


@pytest.mark.parametrize("memory", [4.4e-4, 8.0])
def test_a_damaged_photograph_is_told_once(
    memory: float, photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the start where all are decoded there; of a set larger than memory when the window first comes to it."""
    folder = tmp_path / "set"
    for copy in ("a", "b"):
        shutil.copytree(photographs, folder / copy)
    whole = (photographs / "0.png").read_bytes()
    (folder / "damaged.png").write_bytes(whole[: len(whole) // 2])
    # Three of the seven at a time, two more each step: the damaged one comes again and again.
    config = dataclasses.replace(CONFIG, data=DataConfig(memory=memory, crops=1))
    train(config, hr=[folder], out=tmp_path / "run", device="cpu", console=CONSOLE)
    heard = capfd.readouterr().err
    assert f"1 picture skipped: {folder / 'damaged.png'}: " in heard and heard.count("damaged.png") == 1
    assert (heard.index("damaged.png") < heard.index("steps 0 to 8")) == (memory == 8.0)


def test_what_flatters_or_changes_a_run_is_said(
    photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(CONFIG, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu", console=CONSOLE)
    said = capfd.readouterr().err
    assert "3 validated on and trained on too, such as" in said and "keep them apart" in said
    assert "not be those of a run never stopped" not in said
    for precision, changed in (("fp32", False), ("bf16", True), ("bf16", False)):
        again = partial(
            train, hr=[photographs], val=photographs, out=tmp_path / "run", resume=True, device="cpu", console=CONSOLE
        )
        again(CONFIG, precision=precision)
        said = capfd.readouterr().err
        assert ("bf16-mixed, 32-true before: the weights will not be those of a run never stopped" in said) == changed


def test_the_screen_shows_the_means_of_the_log(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "LINE_EVERY", 0.0)
    train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu", console=CONSOLE)
    said = capfd.readouterr().err
    logged = [row for row in rows(tmp_path / "run") if row["group"] == "pixel"]
    assert [row["step"] for row in logged] == [5, 8]
    for row in logged:
        assert f"pixel phase, step {row['step']} of 8, pixel {row['pixel']:.4f}, " in said
