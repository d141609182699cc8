"""The numbered programs of the documentation run, with a very small network."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save

EXAMPLES = Path(__file__).parent.parent / "examples"
PHOTOS = sorted((EXAMPLES / "photos").glob("*.png"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(Generator(features=8, growth=4, blocks=(1, 1)), tmp_path / "tiny.safetensors", {})
    return tmp_path / "tiny.safetensors"


def write(path: Path, pixels: np.ndarray) -> Path:
    with rows_to_file(path, pixels.shape[1], pixels.shape[0], pixels.shape[2], pixels.dtype, Metadata()) as writer:
        writer.write(pixels)
    return path


class Run:
    """Runs an example as `python examples/NAME WORDS...` would, and gives what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, program: str, *words: Path | str) -> str:
        self._monkeypatch.setattr("sys.argv", [program, *map(str, words)])
        runpy.run_path(str(EXAMPLES / program), run_name="__main__")
        return self._capsys.readouterr().out


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def test_upscale(run: Run, tmp_path: Path, model: Path) -> None:
    photo = write(tmp_path / "photo.png", read(PHOTOS[0]).pixels[:10, :14])
    run("01_upscale.py", photo, tmp_path / "result.png", model)
    assert read(tmp_path / "result.png").pixels.shape == (160, 224, 3)


def test_compare_with_bicubic(run: Run, tmp_path: Path) -> None:
    for photo in PHOTOS[:2]:
        write(tmp_path / f"{photo.stem}_x16.png", np.zeros((1152, 1152, 3), np.uint8))
    said = run("02_compare_with_bicubic.py", tmp_path / "sheet.png", tmp_path, *PHOTOS[:2])
    assert str(tmp_path / "sheet.png") in said
    sheet = read(tmp_path / "sheet.png").pixels
    assert sheet.shape == (2 * 520, 3 * 520, 3)
    as_it_came, bicubic, ours = sheet[:512, :512], sheet[:512, 520:1032], sheet[:512, 1040:1552]
    middle = read(PHOTOS[0]).pixels[20:52, 20:52]
    assert np.array_equal(as_it_came[8::16, 8::16], middle)
    assert np.abs(bicubic.astype(float).mean((0, 1)) - as_it_came.mean((0, 1))).max() < 2
    assert ours.max() == 0


def test_measure(run: Run, tmp_path: Path, model: Path) -> None:
    original = write(tmp_path / "original.png", skimage.data.chelsea()[:208, :200])
    table = [line.split() for line in run("03_measure.py", original, model).splitlines()[1:]]
    assert [line[0] for line in table] == ["bicubic", "sixteenfold"]
    psnr, ssim, lpips, lr_psnr = map(float, table[0][1:])
    assert 15 < psnr < lr_psnr < 60
    assert 0 < ssim < 1
    assert 0 < lpips < 1


def test_train(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    write(tmp_path / "photos" / "cat.png", skimage.data.chelsea())
    said = run("04_train.py", tmp_path / "photos", tmp_path / "run", "4")
    assert "(1, 3, 8, 8) -> (1, 3, 128, 128)" in said


def test_train_demo(run: Run, tmp_path: Path) -> None:
    said = run("05_train_demo.py", tmp_path, "3")
    assert "step 3, psnr" in said and "lpips" in said
    assert len(list((tmp_path / "demo-run" / "samples").iterdir())) == 2


@pytest.mark.parametrize("program", sorted(file.name for file in EXAMPLES.glob("0*.py")))
def test_without_words_the_usage_is_told(run: Run, capsys: pytest.CaptureFixture[str], program: str) -> None:
    with pytest.raises(SystemExit) as left:
        run(program)
    assert left.value.code == 2
    assert f"    python examples/{program} " in capsys.readouterr().err


def test_photographs_are_what_the_program_makes(run: Run, tmp_path: Path) -> None:
    run("make_photos.py", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in PHOTOS]
    for photo in PHOTOS:
        made = read(tmp_path / photo.name).pixels.astype(int)
        # One level of slack: sums of floats differ a little between processors.
        assert np.abs(made - read(photo).pixels).max() <= 1
        assert photo.name in (EXAMPLES / "photos" / "CREDITS.md").read_text(encoding="utf-8")
