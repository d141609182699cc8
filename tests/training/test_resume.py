"""Resuming: a run that was cut goes on and ends where it would have ended, or says why it cannot."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks import zoo
from sixteenfold.training import checkpoint, course, folder
from sixteenfold.training.config import DataConfig, from_json, to_json
from sixteenfold.training.loop import train
from sixteenfold.training.photographs import Window

from .conftest import ADVERSARIAL, BOTH, CONFIG, CONSOLE, PIXEL, Killed, cut_after, rows, same, weights


# At a checkpoint; between two; before the first; at the end of the pixel phase (the boundary); after it; near the end.
@pytest.mark.parametrize("cut", [3, 5, 1, 8, 10, 13])
def test_a_resumed_run_is_the_run(
    cut: int, photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: weights, discriminator, and what the record says of each step."""
    cut_after(cut, monkeypatch)
    with pytest.raises(Killed):
        train(BOTH, hr=[photographs], val=photographs, out=tmp_path / "cut", device="cpu")
    monkeypatch.undo()
    train(BOTH, hr=[photographs], val=photographs, out=tmp_path / "cut", resume=True, device="cpu")
    for name in ("model", "pixel", "discriminator"):
        assert same(load_file(whole / f"{name}.safetensors"), load_file(tmp_path / "cut" / f"{name}.safetensors")), name
    last, again = (checkpoint.load_latest(run / "checkpoints")[0] for run in (whole, tmp_path / "cut"))
    assert last is not None and again is not None
    assert all(torch.equal(last["average"][key], again["average"][key]) for key in last["average"])
    said = [[row | {"time": None} for row in rows(run)] for run in (whole, tmp_path / "cut")]
    assert said[0] == said[1]


def test_a_resumed_run_has_not_forgotten_what_it_began_with(
    photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the pixel phase, and gone on with after the files are gone and without a word of them."""
    generator, discriminator = (tmp_path / f"{name}.safetensors" for name in ("model", "discriminator"))
    begun = partial(train, BOTH, hr=[photographs], init=generator, init_discriminator=discriminator, device="cpu")
    for path in (generator, discriminator):
        shutil.copy(whole / path.name, path)
    reads: list[str] = []
    load = zoo.load
    monkeypatch.setattr(zoo, "load", lambda name: reads.append(name) or load(name))
    begun(out=tmp_path / "never stopped")
    assert len(reads) == 1
    for cut in (1, 5):  # before the first checkpoint of a step, and after
        run = tmp_path / f"cut {cut}"
        with monkeypatch.context() as patch:
            cut_after(cut, patch)
            with pytest.raises(Killed):
                begun(out=run)
        for path in (generator, discriminator):
            path.rename(path.with_suffix(".away"))
        train(BOTH, hr=[photographs], out=run, resume=True, device="cpu")
        for path in (generator, discriminator):
            path.with_suffix(".away").rename(path)
        for name in ("model", "pixel", "discriminator"):
            one, other = (load_file(at / f"{name}.safetensors") for at in (tmp_path / "never stopped", run))
            assert same(one, other), (cut, name)


# In the pixel phase; in the adversarial, whose batch is another.
@pytest.mark.parametrize("cut", [5, 11])
def test_a_resumed_run_goes_on_where_its_window_was(
    cut: int, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a set larger than memory, by the crops that were cut before each step, of both phases."""
    seen: list[tuple[int, list[float]]] = []
    at = Window.at

    def looking(window: Window, crops: int) -> Sequence[torch.Tensor]:
        pictures = at(window, crops)
        seen.append((crops, [picture.float().mean().item() for picture in pictures]))
        return pictures

    monkeypatch.setattr(Window, "at", looking)
    for step in ("pixel_step", "adversarial_step"):
        monkeypatch.setattr(course, step, lambda *words: {})
    config = dataclasses.replace(
        BOTH,
        adversarial=dataclasses.replace(ADVERSARIAL, batch=3),
        data=DataConfig(memory=1e-9, crops=4),
    )
    with monkeypatch.context() as patch:
        cut_after(cut, patch)
        with pytest.raises(Killed):
            train(config, hr=photographs, out=tmp_path / "run", device="cpu")
    before = dict(seen)
    seen.clear()
    train(config, hr=photographs, out=tmp_path / "run", resume=True, device="cpu")
    # From the last checkpoint on, one of every third step.
    expected = [2 * step for step in range(8)] + [16 + 3 * step for step in range(6)]
    assert [crops for crops, _ in seen] == expected[cut // 3 * 3 :]
    again = dict(seen)
    assert all(before[crops] == again[crops] for crops in before.keys() & again.keys())
    assert len({tuple(greys) for greys in again.values()}) > 1


def test_another_configuration_is_not_resumed(photographs: Path, tmp_path: Path) -> None:
    train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")
    # What the recipe is from counts for nothing: it may be the run's own with an option added.
    way = r"; resume it with --config .*run.config\.json and no option .* by --init .*run.model\.safetensors$"
    for other, said in (
        (dataclasses.replace(CONFIG, seed=1), r"\(seed 0, not 1\)"),
        (dataclasses.replace(CONFIG, minutes=5.0), r"\(minutes None, not 5\.0\)"),
        (dataclasses.replace(CONFIG.with_steps(9), seed=1), r"\(pixel\.steps 8, not 9; seed 0, not 1\)"),
        (BOTH, r"\(adversarial\.steps None, not 6; .*; .*; and \d+ more\)"),
    ):
        with pytest.raises(SixteenfoldError, match=f"another configuration than this command {said}{way}"):
            train(other, hr=[photographs], out=tmp_path / "run", resume=True, device="cpu")


def test_a_run_from_before_an_option_was_there_goes_on(photographs: Path, whole: Path, tmp_path: Path) -> None:
    """Neither its config.json nor its checkpoints' recipe has the option; both have its default."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    older = json.loads(to_json(BOTH))
    for phase in ("pixel", "adversarial"):
        del older[phase]["raw"]
    (run / "config.json").write_text(json.dumps(older))
    found, _ = checkpoint.load_latest(run / "checkpoints")
    assert found is not None
    checkpoint.save(run / "checkpoints", found["step"], found | {"recipe": json.dumps(older)})
    assert train(BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu").exists()


def test_a_recipe_changed_in_the_run_folder_itself_is_not_resumed(
    photographs: Path, whole: Path, tmp_path: Path
) -> None:
    """The checkpoints know by which they were made."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    changed = dataclasses.replace(BOTH, seed=BOTH.seed + 1)
    (run / "config.json").write_text(to_json(changed))
    said = r"made by another recipe than it holds now \(seed \d+, not \d+\); undo that"
    with pytest.raises(SixteenfoldError, match=rf"^config\.json: the run's checkpoints were {said}"):
        train(changed, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")


def test_whole_numbers_of_a_recipe_made_in_python_are_no_change(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON gives them back as numbers with a point."""
    whole = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, gradient_clip=1))
    cut_after(2, monkeypatch)
    with pytest.raises(Killed):
        train(whole, hr=photographs, out=tmp_path / "run", device="cpu")
    monkeypatch.undo()
    known = from_json(tmp_path / "run" / "config.json")
    assert train(known, hr=photographs, out=tmp_path / "run", resume=True, device="cpu").exists()


def test_other_photographs_for_a_run_that_keeps_to_its_own_are_told(
    photographs: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, linked = tmp_path / "run", tmp_path / "linked"
    shutil.copytree(whole, run)
    linked.symlink_to(photographs)
    again = partial(train, BOTH, val=photographs, out=run, resume=True, device="cpu", console=CONSOLE)
    (tmp_path / "links").mkdir()
    for path in photographs.iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    for known in (photographs, linked, tmp_path / "links"):
        again(hr=[known])
        assert "not in the folders given" not in capfd.readouterr().err
    again(hr=[tmp_path / "elsewhere"])
    said = capfd.readouterr().err
    assert f"trained on though not in the folders given, such as {photographs}" in said
    assert "a resumed run keeps to its photographs, unless its photographs.json is removed" in said


def test_a_checkpoint_of_another_version_is_told_as_that(photographs: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    found, _ = checkpoint.load_latest(run / "checkpoints")
    assert found is not None
    del found["started_from"]
    checkpoint.save(run / "checkpoints", found["step"] + 1, found)
    with pytest.raises(SixteenfoldError, match=r"^checkpoint: of another version .*; begin a new run folder"):
        train(BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")


@pytest.mark.parametrize("name", ["gone/d.safetensors", "d" * 300])
def test_a_discriminator_that_cannot_be_had_leaves_nothing_to_resume(
    name: str, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(SixteenfoldError, match=r"(does not exist|cannot be read .*); check the name$"):
        train(BOTH, hr=[photographs], out=tmp_path / "run", init_discriminator=name, device="cpu")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(
    photographs: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    again = partial(train, BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu", console=CONSOLE)
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(SixteenfoldError, match=r"none to go on from.* --init .*run.model\.safetensors"):
        again()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    # Killed while the first checkpoint was written: nothing is lost.
    for path in run.iterdir():
        if path.name not in folder.BEFORE_CHECKPOINTS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / ".checkpoint-00000000-0123456789abcdef.pt.77.part").write_bytes(b"half of it")
    capfd.readouterr()
    again()
    assert "killed before its first checkpoint, so it begins now" in capfd.readouterr().err
    assert same(weights(run), weights(whole)) and not list(run.rglob("*.part"))


def test_a_start_killed_before_its_first_file_is_in_nobody_s_way(photographs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("lock", ".config.json.77.part"):
        (run / name).touch()
    with pytest.raises(SixteenfoldError, match="no run to resume here; leave --resume out"):
        train(CONFIG, hr=[photographs], out=run, resume=True, device="cpu")
    train(CONFIG, hr=[photographs], out=run, device="cpu")
    assert {path.name for path in run.iterdir()} >= {"config.json", "model.safetensors"}
    assert not list(run.rglob("*.part"))
