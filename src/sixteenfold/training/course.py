"""The course of a run: what each step draws, moves and leaves behind, in one phase and then the other."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor

from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.training import folder, state
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.data import Batch, address, sample_batch
from sixteenfold.training.losses import cutmix_mask
from sixteenfold.training.pace import Pace, pace_of
from sixteenfold.training.phases import AdversarialPhase, Phase
from sixteenfold.training.photographs import Photographs
from sixteenfold.training.readings import Readings, Row
from sixteenfold.training.speedup import compiled, graph
from sixteenfold.training.state import Training
from sixteenfold.training.steps import (
    Learner,
    Losses,
    PerceptualNetworks,
    adversarial_step,
    head_start_step,
    pixel_step,
)
from sixteenfold.training.validation import ValidationSet
from sixteenfold.training.views import draw_views


@dataclass(frozen=True)
class Run:
    """What stays the same while a run goes on."""

    config: TrainConfig
    out: Path
    fabric: Fabric
    photographs: Photographs
    validation: ValidationSet
    """Empty without validation, and in all processes but the first."""
    metric: LPIPS | None
    """What the adversarial phase is validated by, where it is."""
    perceptual: PerceptualNetworks | None
    """None without an adversarial phase."""
    stopped: threading.Event
    compiled: bool
    graph: bool
    say: Callable[[str], None]
    """Tells the user a line; silent in all processes but the first."""


Seen = tuple[list[Row], bool, bool]
"""After a step: what was read of losses, whether a process was told to stop, whether the phase ends."""


def steps_left(run: Run, training: Training) -> Iterator[Seen]:
    """Both phases from where the training is, step by step; `training` is each time the state after the step."""
    config = run.config
    if training.phase == "pixel":
        yield from _phase(run, training)
        if config.adversarial is None:
            return
        if run.fabric.is_global_zero:
            folder.keep_pixel_model(training, run.out)
        # In its place, so that the pixel phase's network, moments and gradients make room.
        training.become(
            state.enter(
                "adversarial",
                training.result,
                config,
                run.fabric.device,
                step=training.step,
                initial_discriminator=training.initial_discriminator,
            )
        )
    yield from _phase(run, training)


def _phase(run: Run, training: Training) -> Iterator[Seen]:
    """The steps that are left of the phase that the training is in."""
    readings = Readings(run.fabric)
    with ExitStack() as stack:
        if run.compiled:
            stack.enter_context(compiled(training.generator, training.discriminator))
        step = _pixel(run, training) if training.phase == "pixel" else _adversarial(run, training)
        pace = pace_of(run.config, training)
        prepared: set[bool] = set()
        while not pace.over:
            # The first step of a kind compiles, captures and tries algorithms out: by the clock that would be most of
            # a short run's warm-up or head start, with hardly a step made in it.
            first = pace.waiting not in prepared
            prepared.add(pace.waiting)
            with pace.off_the_clock() if first else nullcontext():
                losses = step(pace)
            yield _finish(run, pace, readings, losses)


Step = Callable[[Pace], Losses]


def _pixel(run: Run, training: Training) -> Step:
    """What one step of the pixel phase is; it changes the generator, its learning rate too, and no count."""
    phase = run.config.pixel
    assert phase is not None
    generator = _generator(run, training, phase)

    def step(pace: Pace) -> Losses:
        _set_learning_rates(pace.factor, generator)
        return pixel_step(run.fabric, generator, _draw(run, phase, training.step, training.step * phase.batch), phase)

    return step


def _adversarial(run: Run, training: Training) -> Step:
    """What one step of the adversarial phase is; it changes both networks, their learning rates too, and no count."""
    phase, before = run.config.adversarial, run.config.pixel
    assert phase is not None
    crops = 0 if before is None else training.begun * before.batch
    generator, discriminator = _generator(run, training, phase), _discriminator(run, training)
    learners = [generator] if discriminator is None else [generator, discriminator]

    def step(pace: Pace) -> Losses:
        assert run.perceptual is not None
        _set_learning_rates(pace.factor, *learners)
        parts = _draw(run, phase, training.step, crops + pace.done * phase.batch)
        if discriminator is not None and pace.waiting:
            return head_start_step(run.fabric, generator, discriminator, parts, phase)
        mask = _mask(run, training.step, pace.place, phase)
        views = draw_views(address(run.config.seed, training.step, "lpips"), phase)
        return adversarial_step(run.fabric, generator, discriminator, run.perceptual, parts, phase, mask, views)

    return step


def _generator(run: Run, training: Training, phase: Phase) -> Learner:
    """The training's generator, set up by Fabric and, where it is asked for, as a CUDA graph."""
    generator = Learner(*run.fabric.setup(training.generator, training.optimizer))
    return graph(generator, phase, run.fabric) if run.graph else generator


def _discriminator(run: Run, training: Training) -> Learner | None:
    """The training's discriminator, set up by Fabric; None where it has none."""
    if training.discriminator is None or training.discriminator_optimizer is None:
        return None
    return Learner(*run.fabric.setup(training.discriminator, training.discriminator_optimizer))


def _draw(run: Run, phase: Phase, step: int, crops: int) -> list[Batch]:
    """This process's share of a step's batch, in parts, on the device."""
    share = phase.batch // run.fabric.world_size
    start, size = share * run.fabric.global_rank, share // phase.accumulation
    pictures = run.photographs.at(crops)
    return [
        sample_batch(
            pictures,
            phase.patch,
            seed=run.config.seed,
            step=step,
            indices=range(first, first + size),
            detail=run.config.data.detail,
            scales=run.config.data.scales,
            whole=phase.projected,
        ).to(run.fabric.device)
        for first in range(start, start + share, size)
    ]


def _finish(run: Run, pace: Pace, readings: Readings, losses: Losses) -> Seen:
    """Count the step and average the weights; read the losses where that is due, and with them the time spent.

    Changes the training's count, average and time. The time is the one before the reading, which on an accelerator
    waits for up to ten steps: these count from the next reading on, and are given to a run that is resumed from here.
    """
    training, config = pace.training, run.config
    if training.average is not None:
        training.average.update_parameters(training.generator)
    training.step += 1
    readings.add(training.step, losses)
    writes = any(training.step % every == 0 for every in (config.log_every, config.validate_every, config.save_every))
    if not (readings.due or writes or pace.over):
        return [], False, False
    rows, (stop, training.seconds) = readings.read(float(run.stopped.is_set()), pace.seconds)
    return rows, stop > 0, pace.over


def _set_learning_rates(factor: float, *learners: Learner) -> None:
    """Change each learner's rate to a share of its highest."""
    for learner in learners:
        for group in learner.optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def _mask(run: Run, step: int, place: float, phase: AdversarialPhase) -> Tensor | None:
    """The step's CutMix mask, for the share of the steps that has one by now."""
    if phase.cutmix == 0:
        return None
    random = address(run.config.seed, step, "cutmix")
    if float(torch.rand((), generator=random)) >= min(place / phase.cutmix_ramp, phase.cutmix_probability):
        return None
    return cutmix_mask(phase.patch, phase.patch, random, run.fabric.device)
