"""kill -9 within a picture: the same command goes on, and the result is that of a run in peace."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save
from sixteenfold.upscaling.batch import upscale_files
from sixteenfold.upscaling.progress import Advanced, Event
from sixteenfold.upscaling.upscaler import Upscaler

# Ends itself as the system would, once the first 512 rows are on the disk.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from sixteenfold.upscaling.batch import upscale_files
from sixteenfold.upscaling.progress import Advanced
from sixteenfold.upscaling.upscaler import Upscaler

def watch(event):
    if isinstance(event, Advanced) and event.rows >= 512:
        os.kill(os.getpid(), signal.SIGKILL)

photo, target, model = map(Path, sys.argv[1:])
upscale_files([photo], target, lambda: Upscaler(model, device="cpu"), watch=watch)
"""


def make_model(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    save(Generator(features=4, growth=4, blocks=(1, 1)), path, {})
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photo.png, model.safetensors, and what a killed process left of result.tif."""
    folder = tmp_path_factory.mktemp("killed")
    photo, target = folder / "photo.png", folder / "result.tif"
    with rows_to_file(photo, 6, 100, 4, np.uint8, Metadata()) as writer:
        writer.write(np.random.default_rng(0).integers(0, 256, (100, 6, 4), np.uint8))
    words = [photo, target, make_model(folder / "model.safetensors", 0)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, words)], check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    left = {path.name for path in folder.iterdir()}
    assert left == {"photo.png", "model.safetensors", ".result.tif.rows", ".result.tif.key"}
    return folder


def finish(folder: Path, model: Path) -> tuple[int, bytes]:
    """Upscale over what was left; give the rows that were kept, and the file."""
    events: list[Event] = []
    target = folder / "result.tif"
    upscale_files([folder / "photo.png"], target, lambda: Upscaler(model, device="cpu"), watch=events.append)
    assert not list(folder.glob(".result*"))
    return next(event.rows for event in events if isinstance(event, Advanced)), target.read_bytes()


def in_peace(folder: Path, model: Path) -> bytes:
    target = folder / "peace.tif"
    upscale_files([folder / "photo.png"], target, lambda: Upscaler(model, device="cpu"))
    return target.read_bytes()


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """A copy of the folder of the killed process."""
    return shutil.copytree(killed, tmp_path / "copy")


def test_the_next_run_goes_on_to_the_same_file(folder: Path) -> None:
    kept, result = finish(folder, folder / "model.safetensors")
    assert kept == 512
    assert result == in_peace(folder, folder / "model.safetensors")


def test_half_a_row_at_the_end_is_given_up(folder: Path) -> None:
    rows = folder / ".result.tif.rows"
    os.truncate(rows, rows.stat().st_size - 7)
    kept, result = finish(folder, folder / "model.safetensors")
    assert kept == 256
    assert result == in_peace(folder, folder / "model.safetensors")


@pytest.mark.parametrize("name", ["model", "other"])
def test_rows_of_other_weights_are_never_mixed_in(folder: Path, name: str) -> None:
    other = make_model(folder / f"{name}.safetensors", seed=1)
    kept, result = finish(folder, other)
    assert kept == 0
    assert result == in_peace(folder, other)
