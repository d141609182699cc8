"""Which weights are the result: the best by validation, whatever stops the run meanwhile."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training import checkpoint, loop
from sixteenfold.training.loop import train
from sixteenfold.training.validation import Scores

from .conftest import BOTH, CONFIG, CONSOLE, Killed, cut_after, weights


@pytest.mark.parametrize("same", [True, False], ids=["the same", "others"])
def test_a_best_score_counts_for_its_own_validation_pictures(
    same: bool, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever their files and folders are called; the scores here sink.

    Validated after 4 steps, saved after 6, cut then.
    """
    scores = iter((30.0, 20.0))
    monkeypatch.setattr(loop, "validate", lambda *_: Scores(next(scores), None, torch.zeros(3, 1, 1)))
    first, later, run = tmp_path / "first", tmp_path / "later", tmp_path / "run"
    for folder_, number in ((first, 0), (later, 0 if same else 1)):
        folder_.mkdir()
        shutil.copy(photographs / f"{number}.png", folder_ / f"{folder_.name}.png")
    with monkeypatch.context() as patched:
        cut_after(6, patched)
        with pytest.raises(Killed):
            train(CONFIG, hr=[photographs], val=first, out=run, device="cpu", console=CONSOLE)
    train(CONFIG, hr=[photographs], val=later, out=run, resume=True, device="cpu", console=CONSOLE)
    said = capfd.readouterr().err
    assert ("other validation pictures than before" in said) == (not same)
    with safe_open(run / "model.safetensors", "pt") as file:
        assert file.metadata()["steps"] == ("4" if same else "8")


def test_the_best_weights_are_not_replaced_by_the_last(photographs: Path, whole: Path) -> None:
    before = (whole / "model.safetensors").read_bytes()
    with pytest.raises(SixteenfoldError, match="give --val again"):
        train(BOTH, hr=[photographs], out=whole, resume=True, device="cpu")
    assert (whole / "model.safetensors").read_bytes() == before


def test_a_run_with_val_is_resumed_with_it_from_its_first_step(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was stopped before a validation."""
    config = dataclasses.replace(CONFIG, validation_crop=32)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_loop", stopped)
        with pytest.raises(SixteenfoldError, match="killed"):
            train(config, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    with pytest.raises(SixteenfoldError, match="give --val again"):
        train(config, hr=[photographs], out=tmp_path / "run", resume=True, device="cpu")
    train(config, hr=[photographs], val=photographs, out=tmp_path / "run", resume=True, device="cpu")


def stopped(*_: object) -> None:
    raise SixteenfoldError("killed")


def test_a_result_that_was_removed_is_written_again(
    photographs: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a finished run from its last checkpoint; of one that goes on at the next validation, however good it is."""
    run = tmp_path / "run"
    again = partial(train, BOTH, hr=[photographs], val=photographs, resume=True, device="cpu", console=CONSOLE)
    shutil.copytree(whole, run)
    for name in ("model", "discriminator"):
        (run / f"{name}.safetensors").unlink()
    again(out=run)
    assert "was gone; written again from the last checkpoint" in capfd.readouterr().err
    last, _ = checkpoint.load_latest(whole / "checkpoints")
    assert last is not None and last["average"] is not None
    assert all(torch.equal(tensor, last["average"][f"module.{key}"]) for key, tensor in weights(run).items())
    assert (run / "discriminator.safetensors").exists()

    stopped = tmp_path / "stopped"
    cut_after(13, monkeypatch)
    with pytest.raises(Killed):
        train(BOTH, hr=[photographs], val=photographs, out=stopped, device="cpu", console=CONSOLE)
    monkeypatch.undo()
    (stopped / "model.safetensors").unlink()
    monkeypatch.setattr(loop, "validate", lambda *_: Scores(-100.0, 100.0, torch.zeros(3, 1, 1)))
    again(out=stopped)
    with safe_open(stopped / "model.safetensors", "pt") as file:
        assert file.metadata()["steps"] == "14"
