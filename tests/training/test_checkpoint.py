import os
from pathlib import Path

import pytest
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training import checkpoint


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        checkpoint.save(tmp_path, step, {"step": step, "weight": torch.full((3,), float(step))})
    state, damaged = checkpoint.load_latest(tmp_path)
    assert state is not None and state["step"] == 10 and torch.equal(state["weight"], torch.full((3,), 10.0))
    assert damaged == []
    assert len(checkpoint.list_checkpoints(tmp_path)) == checkpoint.KEPT


@pytest.mark.parametrize("harm", ["cut", "change", "empty"])
def test_a_damaged_file_is_told_and_the_one_before_it_used(harm: str, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    newest = checkpoint.save(tmp_path, 2, {"step": 2})
    content = bytearray(newest.read_bytes())
    if harm == "change":
        content[len(content) // 2] ^= 1
    newest.write_bytes(content if harm == "change" else content[: len(content) // 2 if harm == "cut" else 0])
    state, damaged = checkpoint.load_latest(tmp_path)
    assert state == {"step": 1}
    assert len(damaged) == 1 and newest.name in damaged[0]


def test_damaged_ones_take_no_whole_one_s_place(tmp_path: Path) -> None:
    """As where the newest was damaged and the run goes on from the one before."""
    steps = (1, 5, 6)
    contents = {path: path.read_bytes() for path in (checkpoint.save(tmp_path, step, {"step": step}) for step in steps)}
    for path, content in contents.items():
        path.write_bytes(content if "00000001" in path.name else b"")
    for step in (2, 3):
        checkpoint.save(tmp_path, step, {"step": step})
        assert checkpoint.load_latest(tmp_path)[0] == {"step": step}
    checkpoint.list_checkpoints(tmp_path)[2].write_bytes(b"")
    assert checkpoint.load_latest(tmp_path)[0] == {"step": 2}


@pytest.mark.parametrize("digest", ["0" * 16, "f" * 16])
def test_a_damaged_one_of_the_same_step_is_replaced(digest: str, tmp_path: Path) -> None:
    """Whichever of the two names is the greater, the one before stays."""
    before = checkpoint.save(tmp_path, 50, {"step": 50})
    (tmp_path / f"checkpoint-00000100-{digest}.pt").write_bytes(b"")
    again = checkpoint.save(tmp_path, 100, {"step": 100})
    assert checkpoint.list_checkpoints(tmp_path) == [again, before]


def test_no_checkpoint_is_no_state(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) == (None, [])


def test_a_failed_save_leaves_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SixteenfoldError, match=r"No space left.*mend that.* --resume goes on"):
        checkpoint.save(tmp_path, 2, {"step": 2})
    monkeypatch.undo()
    assert checkpoint.load_latest(tmp_path) == ({"step": 1}, [])
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_begun_over_damaged_checkpoints(tmp_path: Path) -> None:
    """Starting from step 0 in such a folder would replace its record and its weights."""
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {"step": step}).write_bytes(b"")
    with pytest.raises(SixteenfoldError, match=r"all 2 checkpoints are damaged.* --init .*model\.safetensors"):
        checkpoint.load_latest(tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(SixteenfoldError, match="cannot save the checkpoint"):
        checkpoint.save(tmp_path / "run" / "checkpoints", 1, {"step": 1})
