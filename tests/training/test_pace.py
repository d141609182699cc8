"""How far a phase is, by its steps and by the clock."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from sixteenfold.training import pace as pace_module
from sixteenfold.training.pace import Pace, learning_rate_factor
from sixteenfold.training.phases import AdversarialPhase, PixelPhase

PIXEL = PixelPhase(steps=1000, warmup=100, learning_rate=1.0, final_learning_rate=0.0)
ADVERSARIAL = AdversarialPhase(steps=1000, warmup=100, head_start=200, learning_rate=1.0, final_learning_rate=0.0)


def pace(phase: PixelPhase | AdversarialPhase, *, done: int, share: float | None = None) -> Pace:
    """After so many steps, and after this share of a budget of 50 seconds."""
    training: Any = SimpleNamespace(step=7 + done, begun=7, seconds=0.0 if share is None else 50 * share)
    return Pace(phase, training, None if share is None else 50.0)


@pytest.mark.parametrize("taken", [20, 1_000_000])
@pytest.mark.parametrize("phase", [PIXEL, ADVERSARIAL])
def test_by_the_clock_all_keeps_its_share(phase: PixelPhase | AdversarialPhase, taken: int) -> None:
    """However many steps the machine takes in the time, rates and ramps are where they are by steps."""
    for share in (0.0, 0.03, 0.1, 0.199, 0.2, 0.25, 0.3, 0.6, 0.999):
        by_steps, by_clock = pace(phase, done=round(1000 * share)), pace(phase, done=round(taken * share), share=share)
        assert by_clock.place == pytest.approx(by_steps.place)
        assert by_clock.waiting == by_steps.waiting
        assert by_clock.factor == pytest.approx(by_steps.factor, abs=0.011)
        assert not by_clock.over


def test_the_generator_warms_up_after_the_head_start() -> None:
    rates = [pace(ADVERSARIAL, done=5, share=share).factor for share in (0.1, 0.2, 0.25, 0.3, 0.65, 0.9999)]
    assert rates == pytest.approx([1.0, 0.01, 0.51, 1.0, 0.5, 0.0], abs=1e-5)


def test_a_phase_ends_with_its_time() -> None:
    assert pace(PIXEL, done=1, share=1.0).over and pace(PIXEL, done=1, share=1.3).place == 1000
    assert pace(PIXEL, done=1000).over and not pace(PIXEL, done=999).over


def test_what_is_off_the_clock_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(pace_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    paced = pace(PIXEL, done=0, share=0.2)
    now[0] += 3
    with paced.off_the_clock():
        now[0] += 40
    now[0] += 2
    assert paced.seconds == pytest.approx(10 + 3 + 2)


def test_learning_rate_rises_then_falls_along_a_cosine() -> None:
    phase = PixelPhase(steps=110, warmup=10, learning_rate=1e-3, final_learning_rate=1e-4)
    factors = [learning_rate_factor(step, phase, 0) for step in (0, 9, 9.5, 10, 60, 110)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.55, 0.1])
    later = dataclasses.replace(phase, steps=130)
    assert [learning_rate_factor(20 + step, later, 20) for step in (0, 9, 9.5, 10, 60, 110)] == pytest.approx(factors)
