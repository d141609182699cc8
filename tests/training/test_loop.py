"""The run folder and the loop: it learns, it resumes, it says what is wrong."""

import dataclasses
import errno
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pyvips
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.summary.writer.record_writer import RecordWriter

import sixteenfold
from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks import zoo
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.state import digest, shape_of
from sixteenfold.training import checkpoint, course, folder, loop, pace, record, state, steps
from sixteenfold.training.config import (
    PRESETS,
    AdversarialPhase,
    DataConfig,
    GeneratorShape,
    PixelPhase,
    TrainConfig,
    from_json,
    to_json,
)
from sixteenfold.training.loop import train
from sixteenfold.training.validation import Scores

PIXEL = PixelPhase(steps=8, batch=2, patch=32, loss="l1", learning_rate=1e-3, warmup=2, gradient_clip=1.0, average=0.9)
ADVERSARIAL = AdversarialPhase(
    steps=6,
    batch=2,
    patch=64,
    learning_rate=1e-3,
    discriminator_learning_rate=1e-3,
    discriminator=(4,) * 6,
    average=0.9,
    cutmix=1.0,
    cutmix_ramp=6,
)
CONFIG = TrainConfig(
    generator=GeneratorShape(features=(8, 4, 4), growth=(4, 4), blocks=(1, 1)),
    pixel=PIXEL,
    validate_every=4,
    validation_crop=64,
    save_every=3,
    log_every=5,
)
BOTH = dataclasses.replace(CONFIG, adversarial=ADVERSARIAL)

CHECKPOINT_OF_A_STEP = "run/checkpoints/checkpoint-*[!0]-*.pt"
"""One whose step ends in another digit than 0, as that of the start does."""


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_lowers_the_error(photographs: Path, tmp_path: Path) -> None:
    pixel = dataclasses.replace(PIXEL, steps=60, learning_rate=3e-3)
    model = train(
        dataclasses.replace(CONFIG, pixel=pixel, log_every=10), hr=[photographs], out=tmp_path / "run", device="cpu"
    )
    losses = [row["pixel"] for row in rows(tmp_path / "run")]
    assert len(losses) == 6 and losses[-1] < 0.7 * losses[0]
    assert zoo.load(model).features == CONFIG.generator.features


def test_every_step_has_views_of_its_own(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def looking(*args: object) -> dict[str, torch.Tensor]:
        seen.append(args[-1])
        return {}

    monkeypatch.setattr(course, "adversarial_step", looking)
    moved = dataclasses.replace(ADVERSARIAL, lpips_shift=16, lpips_turned=True)
    train(
        dataclasses.replace(CONFIG, pixel=None, adversarial=moved), hr=[photographs], out=tmp_path / "run", device="cpu"
    )
    assert len(seen) == 6
    assert len(set(map(str, seen))) == 6


class Killed(Exception):
    pass


def cut_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run die in the step after so many, at the end of its computation."""
    done = 0

    def dying(step: Callable[..., dict[str, torch.Tensor]]) -> Callable[..., dict[str, torch.Tensor]]:
        def run(*args: object) -> dict[str, torch.Tensor]:
            nonlocal done
            losses = step(*args)
            done += 1
            if done > count:
                raise Killed
            return losses

        return run

    monkeypatch.setattr(course, "pixel_step", dying(course.pixel_step))
    monkeypatch.setattr(course, "adversarial_step", dying(course.adversarial_step))


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


@pytest.fixture(scope="module")
def whole(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of both phases, never stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(BOTH, hr=[photographs], val=photographs, out=out, device="cpu")
    return out


def test_a_run_folder_tells_the_run(whole: Path) -> None:
    assert from_json(whole / "config.json") == BOTH
    said = rows(whole)
    assert [row["step"] for row in said if "lpips" in row and "psnr" in row] == [12, 14]
    assert [row["step"] for row in said if "psnr" in row and "lpips" not in row] == [4, 8]
    assert [row["step"] for row in said if "pixel" in row] == [5, 8, 10, 14]
    assert {"pixel", "lpips", "adversarial", "feature_matching", "discriminator"} <= set(said[-2])
    assert [path.stem for path in sorted((whole / "samples").iterdir())] == [f"{s:08d}" for s in (4, 8, 12, 14)]
    start = json.loads((whole / "starts.jsonl").read_text())
    assert start["torch"] == torch.__version__ and start["processes"] == 1 and start["step"] == 0
    assert any((whole / "tensorboard").iterdir())
    assert UNetDiscriminator((4,) * 6).load_state_dict(load_file(whole / "discriminator.safetensors"))
    with safe_open(whole / "model.safetensors", "pt") as file:
        assert file.metadata()["phase"] == "adversarial"


def test_a_phase_without_discriminator_fine_tunes_a_model(photographs: Path, whole: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(ADVERSARIAL, adversarial=0.0, feature_matching=0.0, cutmix=0.0, patch=48, steps=3)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase, log_every=1)
    train(config, hr=[photographs], out=tmp_path / "run", init=whole / "pixel.safetensors", device="cpu")
    assert [set(row) for row in rows(tmp_path / "run")] == [
        {"time", "step", "pixel", "lpips", "generator_gradient"}
    ] * 3
    assert not (tmp_path / "run" / "discriminator.safetensors").exists()
    assert not same(weights(tmp_path / "run"), load_file(whole / "pixel.safetensors"))


def test_a_discriminator_goes_on(photographs: Path, whole: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(ADVERSARIAL, steps=1, warmup=1)
    # By another seed, whose own start is far from what is given.
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase, seed=CONFIG.seed + 7)
    given = whole / "discriminator.safetensors"
    train(config, hr=[photographs], out=tmp_path / "run", init_discriminator=given, device="cpu")
    train(config, hr=[photographs], out=tmp_path / "fresh", device="cpu")
    before, after, fresh = (load_file(run / given.name) for run in (whole, tmp_path / "run", tmp_path / "fresh"))
    assert all(torch.allclose(before[key], after[key], atol=2e-3) for key in before)
    assert not any(torch.allclose(before[key], fresh[key], atol=2e-3) for key in before if before[key].ndim > 1)
    model = whole / "model.safetensors"
    with pytest.raises(SixteenfoldError, match="not a discriminator of the configuration's widths"):
        train(config, hr=[photographs], out=tmp_path / "other", init_discriminator=model, device="cpu")
    encoder = dataclasses.replace(ADVERSARIAL, cutmix=0.0, decoder=False)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=encoder)
    with pytest.raises(SixteenfoldError, match="with no decoder; choose"):
        train(config, hr=[photographs], out=tmp_path / "other", init_discriminator=given, device="cpu")


def test_the_pixel_phase_makes_room(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network and optimizer are gone when the adversarial phase takes its first step, without Python looking for
    circles of references."""
    seen: list[weakref.ref[object]] = []
    alive: list[bool] = []

    def watched(fabric: object, generator: steps.Player, *others: Any) -> steps.Losses:
        seen[:] = [weakref.ref(generator.module), weakref.ref(generator.optimizer.optimizer)]  # pyright: ignore
        return steps.pixel_step(fabric, generator, *others)  # pyright: ignore[reportArgumentType]

    def counted(*words: Any) -> steps.Losses:
        alive.extend(one() is not None for one in seen)
        return steps.adversarial_step(*words)

    monkeypatch.setattr(course, "pixel_step", watched)
    monkeypatch.setattr(course, "adversarial_step", counted)
    gc.disable()
    try:
        train(BOTH, hr=[photographs], out=tmp_path / "run", device="cpu")
    finally:
        gc.enable()
    assert alive == [False] * (2 * ADVERSARIAL.steps)


def test_a_validation_is_part_of_the_time_but_ends_no_phase(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifteen seconds, of which a step takes one and a validation, every second step, ten: killed after the second
    validation, when the time is up, the run goes on with the step that ends it."""
    now = [0.0]
    for module in (pace, loop):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def costing(module: object, name: str, seconds: float) -> None:
        done = getattr(module, name)

        def slow(*args: Any) -> object:
            now[0] += seconds
            return done(*args)

        monkeypatch.setattr(module, name, slow)

    costing(course, "pixel_step", 1)
    costing(loop, "validate", 10)
    saved: dict[int, float] = {}
    save = checkpoint.save

    def killed_after_the_fourth(checkpoints: Path, step: int, content: dict[str, Any]) -> None:
        save(checkpoints, step, content)
        saved[step] = content["seconds"]
        if step == 4:
            raise Killed

    config = dataclasses.replace(CONFIG, minutes=0.25, validate_every=2, save_every=2)
    run = partial(train, config, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    monkeypatch.setattr(checkpoint, "save", killed_after_the_fourth)
    with pytest.raises(Killed):
        run()
    assert saved[2] == 11  # the first step is off the clock
    assert 14.9 < saved[4] < 15
    run(resume=True)
    assert list(saved) == [0, 2, 4, 5]
    assert [row["step"] for row in rows(tmp_path / "run") if "psnr" in row] == [2, 4, 5]
    run(resume=True)  # is over now
    assert list(saved) == [0, 2, 4, 5]


def test_how_adam_computes_is_the_device_s_not_the_checkpoint_s() -> None:
    before, after = (state.begin(CONFIG, None, None, torch.device("cpu")) for _ in range(2))
    for group in before.optimizer.param_groups:
        group["fused"] = False
    after.restore(before.state())
    assert all(group["fused"] is True for group in after.optimizer.param_groups)


def test_names_are_told_as_they_are(photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What looks like the console's markup is not taken for it, and a line break makes no line."""
    odd = tmp_path / "odd["
    odd.mkdir()
    for name in ("b].png", "b]_x16.png", "[red].png", "new\nline.png"):
        (odd / name).write_bytes(b"no picture")
    (odd / "a.bmp").touch()
    (odd / "[").mkdir()
    (odd / "[" / "b].png").write_bytes(b"no picture")  # "[/b]" closes what was never opened
    phase = dataclasses.replace(PIXEL, steps=1, warmup=0)
    run = tmp_path / "[blue]run"
    val = tmp_path / "val"
    val.mkdir()
    for name, side in (("a.png", 40), ("small.png", 20)):
        pyvips.Image.black(side, side).write_to_file(str(val / name))
    (val / "b.bmp").touch()
    train(dataclasses.replace(CONFIG, pixel=phase), hr=[photographs, odd], val=val, out=run, device="cpu")
    said = capfd.readouterr().err.splitlines()
    assert "4 pictures skipped:" in said and any(line.endswith(f"run folder {run}") for line in said)
    for name in ("b].png", "[red].png", "new\\nline.png", "[/b].png"):
        assert any(line.startswith(f"  {odd}/{name}: is no picture in a known format") for line in said)
    results = [line for line in said if "_x16" in line]
    assert results == [
        f"1 left out, named like what upscale or train makes: {odd}/b]_x16.png; name one itself to use it"
    ]
    assert f"1 passed over, of no format that is read (1 .bmp): {odd}/a.bmp; convert to PNG" in said
    assert f"validation: {val}/small.png: 20x20 is smaller than 32x32" in said
    assert f"validation: 1 passed over, of no format that is read (1 .bmp): {val}/b.bmp; convert to PNG" in said
    # Gone on with, the run keeps to its photographs: what was left aside is no news.
    train(dataclasses.replace(CONFIG, pixel=phase), hr=[photographs, odd], val=val, out=run, resume=True, device="cpu")
    again = capfd.readouterr().err
    assert "4 pictures skipped:" in again and "_x16" not in again and "a.bmp" not in again


def test_the_discriminator_may_have_betas_of_its_own() -> None:
    smoke = PRESETS["smoke"]
    assert smoke.adversarial is not None
    for betas, expected in ((None, smoke.adversarial.betas), ((0.0, 0.9), (0.0, 0.9))):
        config = dataclasses.replace(
            smoke, adversarial=dataclasses.replace(smoke.adversarial, discriminator_betas=betas)
        )
        training = state.enter("adversarial", config.generator.build(), config, torch.device("cpu"), step=0)
        assert training.opponent is not None
        assert training.opponent.optimizer.param_groups[0]["betas"] == expected
        assert training.optimizer.param_groups[0]["betas"] == smoke.adversarial.betas


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


def test_a_result_that_was_removed_is_written_again(
    photographs: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a finished run from its last checkpoint; of one that goes on at the next validation, however good it is."""
    run = tmp_path / "run"
    again = partial(train, BOTH, hr=[photographs], val=photographs, resume=True, device="cpu")
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
        train(BOTH, hr=[photographs], val=photographs, out=stopped, device="cpu")
    monkeypatch.undo()
    (stopped / "model.safetensors").unlink()
    monkeypatch.setattr(loop, "validate", lambda *_: Scores(-100.0, 100.0, torch.zeros(3, 1, 1)))
    again(out=stopped)
    with safe_open(stopped / "model.safetensors", "pt") as file:
        assert file.metadata()["steps"] == "14"


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(
    photographs: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    again = partial(train, BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")
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


def test_a_run_that_another_process_began_meanwhile_is_not_begun_over(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins after the folder was found free, and has ended before the lock is asked for."""
    find = loop.make_index

    def begun(out: Path, config: TrainConfig, *, resume: bool) -> dict[Path, bytes]:
        """What the first left, as it is after the second has begun with this configuration."""
        left: dict[Path, bytes] = {}

        def meanwhile(*words: Any) -> Any:
            monkeypatch.setattr(loop, "make_index", find)
            train(CONFIG, hr=[photographs], out=out, resume=resume, device="cpu")
            left.update({path: path.read_bytes() for path in (out / "config.json", *out.glob("checkpoints/*"))})
            return find(*words)

        monkeypatch.setattr(loop, "make_index", meanwhile)
        train(config, hr=[photographs], out=out, resume=resume, device="cpu")
        return left

    with pytest.raises(SixteenfoldError, match="not empty; go on with --resume"):
        begun(tmp_path / "new", dataclasses.replace(CONFIG, seed=1), resume=False)
    assert from_json(tmp_path / "new" / "config.json") == CONFIG
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "config.json").write_text(to_json(CONFIG))
    left = begun(tmp_path / "killed", CONFIG, resume=True)
    assert len(left) == 1 + checkpoint.KEPT and all(path.read_bytes() == content for path, content in left.items())
    assert len(list((tmp_path / "killed" / "checkpoints").iterdir())) == checkpoint.KEPT


@pytest.mark.parametrize("name", [*folder.FILES, *folder.FOLDERS])
def test_something_else_under_a_name_of_the_run(name: str, photographs: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(SixteenfoldError, match=f"{name}: (not the f|.*mend the run's recipe)"):
        train(BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")


def test_closed_folders(photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system tells them; who runs the tests may be allowed everything."""
    for closed in (whole / "checkpoints", whole):
        monkeypatch.setattr(os, "access", lambda path, mode, closed=closed: path != closed)
        with pytest.raises(SixteenfoldError, match=f"{closed.name}: cannot be read and written; change its perm"):
            train(BOTH, hr=[photographs], val=photographs, out=whole, resume=True, device="cpu")

    scandir = os.scandir

    def refused(folder: Path) -> Iterator[os.DirEntry[str]]:
        if Path(folder) == photographs:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(SixteenfoldError, match=r"cannot be listed \(Permission denied\); change its permissions"):
        train(BOTH, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_of_the_run(photographs: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    again = partial(train, BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")
    checkpoint.list_checkpoints(run / "checkpoints")[0].unlink()  # so that there is something to do
    (run / "checkpoints" / "checkpoint-99999999-0123456789abcdef.pt").mkdir()
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\xfe\n[1]\n{"step": "x"}\n{"st')
    index = run / "photographs.json"
    kept = index.read_bytes()
    for damage in (kept[:-20], b"", b"\xff", b'{"photographs": [], "skipped": []}', b"[" * 100_000):
        index.write_bytes(damage)
        with pytest.raises(SixteenfoldError, match=r"photographs.json: .*remove it, then the same command"):
            again()
    index.unlink()
    again()
    assert index.read_bytes() == kept and same(weights(run), weights(whole))
    assert [row["step"] for row in rows(run)] == [row["step"] for row in rows(whole)]
    (run / "config.json").write_bytes((run / "config.json").read_bytes()[:100])
    with pytest.raises(SixteenfoldError, match=r"config.json: not a readable .* mend the run's recipe there"):
        again()


def test_a_clone_of_something_else_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)

    installed = tmp_path / "venv" / "sixteenfold"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "theirs")
    monkeypatch.setattr(sixteenfold, "__file__", str(installed / "__init__.py"))
    assert folder._git_state() is None
    git("add", "--force", ".")
    git("commit", "-q", "-m", "ours")
    commit = folder._git_state()
    assert commit is not None and len(commit) == 40
    (installed / "__init__.py").write_text("changed")
    assert folder._git_state() == commit + "+changes"


def test_what_the_system_refuses_is_one_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "run/starts.jsonl")

    monkeypatch.setattr(folder, "_git_state", refused)
    with pytest.raises(SixteenfoldError, match=r"^run/starts.jsonl: Permission denied; mend that.* --resume"):
        train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")


def test_two_runs_into_one_folder(photographs: Path, whole: Path) -> None:
    with folder.locked(whole), pytest.raises(SixteenfoldError, match="another process trains"):
        train(BOTH, hr=[photographs], val=photographs, out=whole, resume=True, device="cpu")


def command(config: TrainConfig, photographs: Path, folder: Path) -> list[str]:
    """What starts such a run as a process of its own, in `folder` / "run"."""
    (folder / "config.json").write_text(to_json(config))
    words = [sys.executable, "-m", "sixteenfold", "train", "--config", str(folder / "config.json")]
    return [*words, "--hr", str(photographs), "--out", str(folder / "run"), "--device", "cpu"]


def test_an_interrupted_process_saves_and_says_how_to_go_on(photographs: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=100_000), validate_every=100_000)
    words = command(config, photographs, tmp_path)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            # Patient, since the machine may be busy with something else.
            deadline = time.monotonic() + 300
            while not list(tmp_path.glob(CHECKPOINT_OF_A_STEP)) and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "--resume goes on" in said
    state, damaged = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and damaged == []
    assert f"stopped after step {state['step']}" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_a_run_whose_terminal_is_closed_saves(photographs: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(
        CONFIG, pixel=dataclasses.replace(PIXEL, steps=100_000), validate_every=100_000, save_every=100_000
    )
    words = command(config, photographs, tmp_path)
    outside, terminal = os.openpty()
    os.set_blocking(outside, False)
    # Under nohup, as this suite may run, SIGHUP is ignored, and so it would be by what it starts.
    heeding = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        started = subprocess.Popen(words, stdout=terminal, stderr=terminal)
    finally:
        signal.signal(signal.SIGHUP, heeding)
    with os.fdopen(outside, "rb", buffering=0) as window, started as run:
        try:
            deadline = time.monotonic() + 300
            log = tmp_path / "run" / "metrics.jsonl"
            while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
                window.read(4096)  # whoever writes to a full terminal waits
                time.sleep(0.05)
            os.close(terminal)
            window.close()
            run.send_signal(signal.SIGHUP)
            assert run.wait(300) == 130
        finally:
            run.kill()
    state, damaged = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and damaged == []
    assert state["step"] > 0


def test_a_full_disk_is_one_line(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.Record, "numbers", full)
    with pytest.raises(SixteenfoldError, match=r"the disk is full; free some.* --resume"):
        train(
            dataclasses.replace(CONFIG, save_every=1, log_every=2), hr=[photographs], out=tmp_path / "run", device="cpu"
        )
    found, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert found is not None and found["step"] == 1  # losses are noted after the second


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


def test_start_from_weights(photographs: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=1, warmup=0, learning_rate=1e-9))
    first = train(CONFIG, hr=[photographs], out=tmp_path / "first", device="cpu")
    train(one, hr=[photographs], out=tmp_path / "second", init=first, device="cpu")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(before[key], after[key], atol=1e-7) for key in before)
    narrow = dataclasses.replace(CONFIG, generator=GeneratorShape((8, 8, 8), (2, 2), (1, 1)))
    with pytest.raises(SixteenfoldError, match="choose the preset of that shape"):
        train(narrow, hr=[photographs], out=tmp_path / "third", init=first, device="cpu")


def test_given_weights_stay_the_result_until_something_is_better(
    photographs: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, opponent = whole / "pixel.safetensors", whole / "discriminator.safetensors"
    # Such steps spoil any network.
    phase = dataclasses.replace(ADVERSARIAL, steps=4, learning_rate=0.03, final_learning_rate=0.03)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase)
    run = tmp_path / "run"
    begin = partial(train, config, device="cpu", init=given, init_discriminator=opponent)
    begin(hr=str(photographs), val=str(photographs), out=str(run))
    assert same(weights(run), load_file(given))
    scores = [row for row in rows(run) if "lpips" in row and "psnr" in row]
    assert [row["step"] for row in scores] == [0, 4] and scores[0]["lpips"] < scores[1]["lpips"]
    assert (run / "samples" / "00000000.png").exists()
    start = json.loads((run / "starts.jsonl").read_text())
    assert start["init"] == f"{given}, sha256 {digest(zoo.load(given))} of its weights"
    assert start["init_discriminator"] == str(opponent)
    assert "pixel phase" not in capsys.readouterr().err


def test_given_weights_are_scored_again_by_a_run_that_took_no_step(
    photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=2, warmup=0), validate_every=1)
    begin = partial(train, config, hr=photographs, val=photographs, out=tmp_path / "run", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(course, "pixel_step", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            begin(init=whole / "pixel.safetensors")
    begin(resume=True)
    assert [row["step"] for row in rows(tmp_path / "run") if "psnr" in row] == [0, 1, 2]
    starts = [json.loads(line) for line in (tmp_path / "run" / "starts.jsonl").read_text().splitlines()]
    assert starts[0]["init"] == starts[1]["init"]


def test_what_given_weights_go_through_is_said(
    photographs: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(BOTH, hr=photographs, out=tmp_path / "both", device="cpu", init=whole / "model.safetensors")
    assert "its drawing is smoothed by the pixel phase, which comes first; --pixel None" in capsys.readouterr().err
    train(dataclasses.replace(BOTH, pixel=None), hr=photographs, out=tmp_path / "second", device="cpu")
    assert "the adversarial phase begins with random weights" in capsys.readouterr().err


def test_a_shipped_models_discriminator_goes_by_its_name(photographs: Path, tmp_path: Path) -> None:
    assert zoo.discriminator("medium").is_file()
    assert zoo.discriminator(tmp_path / "any.safetensors") == tmp_path / "any.safetensors"
    begin = partial(train, BOTH, hr=photographs, out=tmp_path / "run", device="cpu")
    with pytest.raises(SixteenfoldError, match="compact-fidelity: was trained without a discriminator; leave it out"):
        begin(init_discriminator="compact-fidelity")
    with pytest.raises(SixteenfoldError, match=r"is a folder; give the weights in it, .*discriminator\.safetensors"):
        begin(init_discriminator=tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(bytes(100))
    with pytest.raises(SixteenfoldError, match=r"discriminator is in discriminator\.safetensors"):
        begin(init_discriminator=tmp_path / "checkpoint.pt")
    with pytest.raises(SixteenfoldError, match=r"^nothing: does not exist; check the name"):
        begin(init_discriminator="nothing")
    with pytest.raises(SixteenfoldError, match=r"medium\.safetensors: not a discriminator of the config"):
        begin(init_discriminator="medium")


def test_a_smaller_network_is_grown(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(CONFIG, hr=[photographs], out=tmp_path / "first", device="cpu")
    larger = GeneratorShape((12, 10, 8), (6, 4), (2, 2))
    still = dataclasses.replace(PIXEL, steps=1, warmup=0, learning_rate=1e-9)
    second = train(
        dataclasses.replace(CONFIG, generator=larger, pixel=still, adversarial=None),
        hr=[photographs],
        out=tmp_path / "second",
        init=first,
        device="cpu",
    )
    assert "grown from features" in capsys.readouterr().err
    small, large = zoo.load(first), zoo.load(second)
    assert shape_of(large) == larger
    lr = torch.rand(1, 3, 4, 6)
    with torch.inference_mode():
        torch.testing.assert_close(large(lr), small(lr), atol=1e-5, rtol=1e-5)


def test_a_used_folder_is_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SixteenfoldError, match="not empty; choose another folder"):
        train(CONFIG, hr=[photographs], out=tmp_path, device="cpu")
    with pytest.raises(SixteenfoldError, match="not a folder"):
        train(CONFIG, hr=[photographs], out=tmp_path / "mine.txt", device="cpu")
    with pytest.raises(SixteenfoldError, match="no run to resume"):
        train(CONFIG, hr=[photographs], out=tmp_path / "new", resume=True, device="cpu")


def test_a_run_that_cannot_begin_leaves_no_folder(photographs: Path, tmp_path: Path) -> None:
    large = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, patch=256))
    with pytest.raises(SixteenfoldError, match=r"none of 3 pictures has the 320x320 .* the largest is 150x140$"):
        train(large, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_begin_are_refused_before_anything_is_written(photographs: Path, tmp_path: Path) -> None:
    run, nope = tmp_path / "run", tmp_path / "nope.safetensors"
    with pytest.raises(SixteenfoldError, match="nope"):
        train(BOTH, hr=[photographs], out=run, device="cpu", init=nope)
    with pytest.raises(SixteenfoldError, match="nope"):
        train(BOTH, hr=[photographs], out=run, device="cpu", init_discriminator=nope)
    with pytest.raises(SixteenfoldError, match="this run has no discriminator"):
        train(CONFIG, hr=[photographs], out=run, device="cpu", init_discriminator=nope)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_takes_both_its_steps(name: str, photographs: Path, tmp_path: Path) -> None:
    """Losses, clipping, averages and projection as they are, but sizes reduced."""
    preset = PRESETS[name]
    assert preset.pixel is not None and preset.adversarial is not None
    small = {"batch": 1, "warmup": 0, "patch": 64}
    # With a head start: one step of the discriminator alone, one of both.
    head_start = min(1, preset.adversarial.head_start)
    taken = {"steps": 1 + head_start, "head_start": head_start, "discriminator": (4,) * 6, "cutmix_ramp": 1}
    config = dataclasses.replace(
        CONFIG,
        pixel=dataclasses.replace(preset.pixel, **small, steps=1),
        adversarial=dataclasses.replace(preset.adversarial, **small, **taken),
    )
    train(config, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
    assert (tmp_path / "run" / "discriminator.safetensors").exists()


def test_a_run_by_the_clock_does_both_phases(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A clock that goes on by a second a look: half a minute is shared as 8 to 6, and the learning rate comes down."""
    now = iter(range(10**6))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    rates: list[float] = []
    monkeypatch.setattr(course, "_set_learning_rates", lambda factor, *players: rates.append(factor))
    timed = dataclasses.replace(BOTH, minutes=0.5, pixel=dataclasses.replace(PIXEL, warmup=0))
    train(timed, hr=[photographs], out=tmp_path / "run", device="cpu")
    last, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert last is not None and last["phase"] == "adversarial"
    assert 30 * 6 / 14 <= last["seconds"] < 30 * 6 / 14 + 3
    assert 15 <= last["begun"] <= 18 and last["step"] > last["begun"]
    assert rates[0] == 1.0 and rates[last["begun"] - 1] < 0.05
    assert rates[last["begun"]] == pytest.approx(1.0, abs=0.05)
    # Each phase ends with a line, though nobody knew before which step is its last.
    said = capfd.readouterr().err
    assert f"\npixel phase, step {last['begun']}, " in said and f"\nadversarial phase, step {last['step']}, " in said


@pytest.mark.parametrize("place", ["hr", "val", "out"])
def test_an_empty_name_is_not_the_current_folder(place: str, photographs: Path, tmp_path: Path) -> None:
    folders: dict[str, Any] = {"hr": photographs, "out": tmp_path / "run", place: ""}
    with pytest.raises(SixteenfoldError, match=f"^{place}: the name is empty"):
        train(CONFIG, device="cpu", **folders)


def test_crops_are_drawn_as_the_recipe_says(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, Any]] = []
    sample = course.sample_batch

    def spied(*args: Any, **others: Any) -> object:
        drawn.append(others)
        return sample(*args, **others)

    monkeypatch.setattr(course, "sample_batch", spied)
    data = DataConfig(scales=(1.0, 0.5), detail=0.5)
    train(dataclasses.replace(CONFIG, data=data), hr=[photographs], out=tmp_path / "run", device="cpu")
    assert {(one["scales"], one["detail"]) for one in drawn} == {((1.0, 0.5), 0.5)}


def test_what_first_steps_prepare_costs_no_part_of_the_course(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first step of 40 seconds, as compiling takes, the first after the head start too, in a phase of one minute of
    which a half is head start: neither shortens anything."""
    now = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now[0]))
    made: list[str] = []

    def costing(name: str) -> None:
        step = getattr(course, name)

        def slow(*args: Any) -> object:
            now[0] += 2 if name in made else 40
            made.append(name)
            return step(*args)

        monkeypatch.setattr(course, name, slow)

    costing("head_start_step")
    costing("adversarial_step")
    phase = dataclasses.replace(ADVERSARIAL, head_start=3, warmup=1)
    timed = dataclasses.replace(BOTH, pixel=None, adversarial=phase, minutes=1)
    train(timed, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert made == ["head_start_step"] * 16 + ["adversarial_step"] * 16


def test_the_screen_shows_the_means_of_the_log(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "LINE_EVERY", 0.0)
    train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")
    said = capfd.readouterr().err
    logged = [row for row in rows(tmp_path / "run") if "pixel" in row]
    assert [row["step"] for row in logged] == [5, 8]
    for row in logged:
        assert f"pixel phase, step {row['step']} of 8, pixel {row['pixel']:.4f}, " in said


def test_one_is_no_plural(photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=1, warmup=0))
    train(one, hr=[photographs / "0.png"], out=tmp_path / "run", device="cpu")
    assert "\n1 photograph, 0 for" in "\n" + capfd.readouterr().err
    for minutes, said in ((1.0, "1 minute in all"), (1.5, "1.5 minutes in all")):
        assert loop._ahead(dataclasses.replace(one, minutes=minutes), 0) == f"from step 0, for {said}"


def test_mixed_precision_keeps_its_weights_whole(photographs: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(
        BOTH, pixel=dataclasses.replace(PIXEL, steps=2), adversarial=dataclasses.replace(ADVERSARIAL, steps=1)
    )
    train(short, hr=[photographs], out=tmp_path / "run", device="cpu", precision="bf16")
    state, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None
    moments = [moment["exp_avg"] for moment in state["optimizer"]["state"].values()]
    for kept in (state["generator"].values(), state["discriminator"].values(), moments):
        assert all(tensor.dtype == torch.float32 for tensor in kept)
        # Nor are they bf16's few digits in the guise of fp32.
        assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in kept)
    assert "bf16" in (tmp_path / "run" / "starts.jsonl").read_text()


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


def test_the_best_weights_are_not_replaced_by_the_last(photographs: Path, whole: Path) -> None:
    before = (whole / "model.safetensors").read_bytes()
    with pytest.raises(SixteenfoldError, match="give --val again"):
        train(BOTH, hr=[photographs], out=whole, resume=True, device="cpu")
    assert (whole / "model.safetensors").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_run(photographs: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(PIXEL, learning_rate=1e30, warmup=0, gradient_clip=None)
    with pytest.raises(SixteenfoldError, match=r"step \d+: the (pixel loss|generator.s gradient) is (inf|nan)"):
        train(dataclasses.replace(CONFIG, pixel=wild), hr=[photographs], out=tmp_path / "run", device="cpu")


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
            train(CONFIG, hr=[photographs], val=first, out=run, device="cpu")
    train(CONFIG, hr=[photographs], val=later, out=run, resume=True, device="cpu")
    said = capfd.readouterr().err
    assert ("other validation pictures than before" in said) == (not same)
    with safe_open(run / "model.safetensors", "pt") as file:
        assert file.metadata()["steps"] == ("4" if same else "8")


def test_what_flatters_or_changes_a_run_is_said(
    photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(CONFIG, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    said = capfd.readouterr().err
    assert "3 validated on and trained on too, such as" in said and "keep them apart" in said
    assert "not be those of a run never stopped" not in said
    for precision, changed in (("fp32", False), ("bf16", True), ("bf16", False)):
        again = partial(train, hr=[photographs], val=photographs, out=tmp_path / "run", resume=True, device="cpu")
        again(CONFIG, precision=precision)
        said = capfd.readouterr().err
        assert ("bf16-mixed, 32-true before: the weights will not be those of a run never stopped" in said) == changed


def test_missing_weights_of_the_validation_are_told_before_the_first_step(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise SixteenfoldError("no weights of LPIPS")

    monkeypatch.setattr(loop, "LPIPS", missing)
    config = dataclasses.replace(BOTH, adversarial=dataclasses.replace(ADVERSARIAL, lpips=0.0))
    with pytest.raises(SixteenfoldError, match="no weights of LPIPS"):
        train(config, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_photographs_that_only_begin_well_leave_no_run_folder(photographs: Path, tmp_path: Path) -> None:
    """Their headers tell sizes; that nothing can be decoded shows only then."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("0.png", "1.png"):
        content = (photographs / name).read_bytes()
        (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SixteenfoldError, match=r"no usable picture: .*0\.png: .*; .*1\.png: "):
        train(CONFIG, hr=[broken], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    shutil.copy(photographs / "2.png", broken)
    phase = dataclasses.replace(PIXEL, steps=1, warmup=0)
    train(dataclasses.replace(CONFIG, pixel=phase), hr=[broken], out=tmp_path / "run", device="cpu")
