"""What a run folder keeps of a run's course."""

import errno
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.summary.writer.record_writer import RecordWriter

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.read import read
from sixteenfold.training.loop import train
from sixteenfold.training.record import Record

from .conftest import CONFIG


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    shown = torch.arange(3 * 4 * 5).reshape(3, 4, 5) / 255
    with Record(tmp_path, 0) as record:
        record.picture(7, shown)
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            record.picture(8, shown)
    (path,) = (tmp_path / "samples").iterdir()
    assert path.name == "00000007.png"
    assert np.array_equal(read(path).pixels, (shown * 255).round().permute(1, 2, 0).numpy())


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    """TensorBoard cannot write there; a line says so."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(SixteenfoldError, match="TensorBoard takes no name that is not text; choose another"):
        Record(folder, 0)


def test_a_disk_that_is_full_for_tensorboard_is_one_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails in a thread; pytest takes what Python would show of that for an error."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    before = threading.excepthook
    with pytest.raises(SixteenfoldError, match=r"the disk is full; free some.* --resume"):
        train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert threading.excepthook == before
