"""How far a phase is, and when it is over: by its steps, or by the clock."""

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sixteenfold.training.config import TrainConfig
from sixteenfold.training.phases import AdversarialPhase, Phase
from sixteenfold.training.state import Training


@dataclass
class Pace:
    """The course of one phase.

    By the clock all processes must go by the same time: `training.seconds` is set between readings only, to what
    they agreed on.
    """

    phase: Phase
    training: Training
    budget: float | None
    """Seconds for the phase; None goes by steps."""
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = time.monotonic() - self.training.seconds

    @property
    def seconds(self) -> float:
        """What the phase has taken by this process's clock, in earlier sittings too, but for what is off the clock."""
        return time.monotonic() - self._started

    @contextmanager
    def off_the_clock(self) -> Generator[None]:
        """Within this the phase takes no time."""
        before = time.monotonic()
        yield
        self._started += time.monotonic() - before

    @property
    def done(self) -> int:
        """Steps of the phase that are done."""
        return self.training.step - self.training.begun

    @property
    def over(self) -> bool:
        """Whether the phase has had its steps, or its time."""
        if self.budget is None:
            return self.done >= self.phase.steps
        return self.training.seconds >= self.budget

    @property
    def place(self) -> float:
        """How far the phase is, counted in the steps of the recipe: those done, or as many as the time spent is worth.

        By the clock a recipe's steps are shares of the phase's time: warm-up, head start and ramps keep their
        proportions, however many steps the machine takes in it.
        """
        if self.budget is None:
            return self.done
        return min(1.0, self.training.seconds / self.budget) * self.phase.steps

    @property
    def head_start(self) -> int:
        """Where the discriminator ceases to learn alone, in steps of the recipe."""
        return self.phase.head_start if isinstance(self.phase, AdversarialPhase) else 0

    @property
    def waiting(self) -> bool:
        """Whether the generator waits for the discriminator's head start to end."""
        return self.place < self.head_start

    @property
    def factor(self) -> float:
        """Share of the learning rates that the next step has: all of it in a head start, a new course after it."""
        if self.waiting:
            return 1.0
        return learning_rate_factor(self.place, self.phase, self.head_start)


def learning_rate_factor(place: float, phase: Phase, first: int) -> float:
    """Share of the phase's learning rate: a linear rise over the warm-up, then a half cosine down.

    Args:
        place: How far the phase is, 0 to its `steps`; between two steps the rise waits at the first.
        phase: Whose rates are in question.
        first: Where the rise begins.
    """
    top = first + phase.warmup
    if place < top:
        return (math.floor(place) - first + 1) / phase.warmup
    progress = (place - top) / max(1, phase.steps - top)
    end = phase.final_learning_rate / phase.learning_rate
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def pace_of(config: TrainConfig, training: Training) -> Pace:
    """The course of the phase that a training is in."""
    phase = _phase_of(config, training)
    return Pace(phase, training, _budget(config, phase))


def short_of_end(config: TrainConfig, training: Training, seconds: float) -> float:
    """A time spent in the training's phase, but less than all it has, as a phase ends by a step that is seen to."""
    budget = _budget(config, _phase_of(config, training))
    return seconds if budget is None else min(seconds, math.nextafter(budget, 0))


def _phase_of(config: TrainConfig, training: Training) -> Phase:
    phase = config.pixel if training.phase == "pixel" else config.adversarial
    assert phase is not None
    return phase


def _budget(config: TrainConfig, phase: Phase) -> float | None:
    """Seconds that the clock gives a phase: its share of the run's time is its share of the steps."""
    return None if config.minutes is None else 60 * config.minutes * phase.steps / config.steps
