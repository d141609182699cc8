"""benchmarks/: a user's mistake is answered in one line, before anything is measured."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PROGRAMS = sorted(path.name for path in BENCHMARKS.glob("*.py") if 'if __name__ == "__main__":' in path.read_text())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photograph, one that is none, an empty folder and a model; the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS)
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (15, 40), "grey").save(tmp_path / "narrow.png")
    (tmp_path / "broken.png").write_text("no picture")
    torch.manual_seed(0)
    save(Generator(features=8, growth=4, blocks=(1, 1)), tmp_path / "tiny.safetensors", {})
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, name: str, *words: str) -> str | int | None:
    """How a program ends."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    try:
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
    except SystemExit as end:
        return end.code
    return None


@pytest.mark.parametrize("name", PROGRAMS)
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("border.py none.png --model tiny.safetensors", "border: none.png: does not exist"),
        ("border.py narrow.png --model tiny.safetensors", "border: narrow.png: is too small to be shrunk 16 times"),
        ("convolution.py --repeats 0", "--repeats: '0' is not a whole number above 0"),
        ("encoding.py --threads x", "--threads: 'x' is not a whole number above 0"),
        ("evaluation.py --side 5", "--side: 5 is not a multiple of 16"),
        ("evaluation.py --memory abc", "--memory: 'abc' is not two sides in pixels, such as 312x480"),
        ("evaluation.py --memory 64x64 --metrics psnrr", "evaluation: metric 'psnrr': unknown"),
        ("held_out.py broken.png", "held_out: broken.png: is a file; name a folder"),
        ("losses.py --hr photos --val empty", "losses: empty: holds no picture in a supported format"),
        ("losses.py --hr empty --norms", "losses: empty: holds no picture in a supported format"),
        ("memory.py compact", "compact has no size; give one after each shape"),
        ("memory.py compact 0x5", "'0x5' is not two sides in pixels"),
        ("memory.py tiny 5x5", "'tiny' is not a shape; choose among full"),
        ("overhead.py small 8x8 --format xyz", "--format: invalid choice: 'xyz'"),
        ("overhead.py small 8", "HEIGHTxWIDTH: '8' is not two sides in pixels"),
        ("overhead.py small 8x8 --precision no", "overhead: precision no: not known"),
        ("results.py --hr photos --photos empty --out new.md", "results: empty: holds no picture"),
        ("results.py --hr photos --metrics psnrr --out new.md", "results: metric 'psnrr': unknown"),
        ("rounds.py broken.png --model tiny.safetensors", "rounds: broken.png: is not a picture"),
        ("rounds.py narrow.png --model tiny.safetensors", "rounds: narrow.png: is too small to be shrunk 16 times"),
        ("rounds.py photos/a.png --model none", "rounds: none: is not a shipped model"),
        ("seams.py photos --model tiny.safetensors", "seams: photos: is a folder"),
        ("seams.py photos/a.png --model tiny.safetensors --side 4", "seams: photos/a.png: 64x48 holds no 64x64"),
        ("seams.py photos/a.png --model tiny.safetensors --tile 0", "--tile: '0' is not a whole number above 0"),
        ("seams.py photos/a.png --model tiny.safetensors --margins -8", "--margins: '-8' is not a whole number"),
        ("shapes.py --repeats 0", "--repeats: '0' is not a whole number above 0"),
        ("speed.py --size 0", "--size: '0' is not a whole number above 0"),
        ("speed.py --model none", "speed: none: is not a shipped model"),
        ("startup.py --repeats", "unrecognized arguments: --repeats"),
        ("training.py --preset smoke --rounds 0", "--rounds: '0' is not a whole number above 0"),
        ("training.py --config none.json", "training: none.json"),
        ("training.py --preset smoke --pixel None", "training: --phase pixel: the recipe has no such phase"),
        ("write_memory.py new/a.png 8 8", "write_memory: "),
        ("write_memory.py a.xyz 8 8", "write_memory: "),
        ("write_memory.py a.png 0 8", "width: '0' is not a whole number above 0"),
    ],
)
def test_a_mistake_is_one_line(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    code = run(monkeypatch, *words.split())
    # argparse shows the usage first, and ends with 2.
    answer = capsys.readouterr().err.splitlines()[-1] if code == 2 else str(code)
    assert said in answer and "\n" not in answer
    assert sorted(folder.rglob("*")) == before


def test_seams_still_measures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("photos/a.png", "--model", "tiny.safetensors", "--side", "3", "--tile", "2", "--first-tile", "2")
    assert run(monkeypatch, "seams.py", *words, "--margins", "0", "8", "--first-margins", "0") is None
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["margin"] for row in made["rows"]] == [0, 8, 0]
    assert made["rows"][1]["within"] == 1
