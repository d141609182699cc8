"""A run by the clock: what is part of its time, and what is not."""

import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sixteenfold.training import checkpoint, course, loop, pace
from sixteenfold.training.loop import train

from .conftest import ADVERSARIAL, BOTH, CONFIG, CONSOLE, PIXEL, Killed, rows


def test_a_run_by_the_clock_does_both_phases(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A clock that goes on by a second a look: half a minute is shared as 8 to 6, and the learning rate comes down."""
    now = iter(range(10**6))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    rates: list[float] = []
    monkeypatch.setattr(course, "set_learning_rate", lambda optimizer, share: rates.append(share))
    timed = dataclasses.replace(BOTH, minutes=0.5, pixel=dataclasses.replace(PIXEL, warmup=0))
    train(timed, hr=[photographs], out=tmp_path / "run", device="cpu", console=CONSOLE)
    last, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert last is not None and last["phase"] == "adversarial"
    assert 30 * 6 / 14 <= last["seconds"] < 30 * 6 / 14 + 3
    assert 15 <= last["begun"] <= 18 and last["step"] > last["begun"]
    assert rates[0] == 1.0 and rates[last["begun"] - 1] < 0.05
    assert rates[last["begun"]] == pytest.approx(1.0, abs=0.05)
    # Each phase ends with a line, though nobody knew before which step is its last.
    said = capfd.readouterr().err
    assert f"\npixel phase, step {last['begun']}, " in said and f"\nadversarial phase, step {last['step']}, " in said


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
    assert [row["step"] for row in rows(tmp_path / "run") if row["group"] == "validation"] == [2, 4, 5]
    run(resume=True)  # is over now
    assert list(saved) == [0, 2, 4, 5]


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
