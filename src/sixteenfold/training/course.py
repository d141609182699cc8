"""The course of a run: what each step draws, moves and leaves behind, in one phase and then the other."""

import threading
from collections.abc import Callable, Iterator, Sequence
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
from sixteenfold.training.optimizers import set_learning_rate
from sixteenfold.training.pace import Pace, pace_of
from sixteenfold.training.phases import AdversarialPhase, PixelPhase
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
        step = make_step(run.config, training, run.fabric, run.perceptual, graphed=run.graph)
        pace = pace_of(run.config, training)
        prepared: set[bool] = set()
        while not pace.over:
            # The first step of a kind compiles, captures and tries algorithms out: by the clock that would be most of
            # a short run's warm-up or head start, with hardly a step made in it.
            first = pace.waiting not in prepared
            prepared.add(pace.waiting)
            with pace.off_the_clock() if first else nullcontext():
                losses = step(pace, draw(run.config, run.fabric, run.photographs, pace))
            yield _read_if_due(run, pace, readings, losses)


Step = Callable[[Pace, Sequence[Batch]], Losses]
"""Takes where the phase is, and this process's share of the step's batch in parts; gives the step's losses."""


def make_step(
    config: TrainConfig,
    training: Training,
    fabric: Fabric,
    perceptual: PerceptualNetworks | None,
    *,
    graphed: bool,
) -> Step:
    """What one step is of the phase that a training is in.

    Args:
        config: The run's.
        training: What a step changes: its networks, optimizers (their learning rates too), average and count.
        fabric: Where and how precisely to compute. It sets the networks up, after they have been compiled.
        perceptual: The frozen networks of the perceptual losses, which the adversarial phase moves to where it
            computes; None does for the pixel phase.
        graphed: Whether the generator's passes are CUDA graphs.
    """
    phase = config.pixel if training.phase == "pixel" else config.adversarial
    assert phase is not None
    generator, discriminator = Learner(*fabric.setup(training.generator, training.optimizer)), None
    if graphed:
        generator = graph(generator, phase, fabric)
    if training.discriminator is not None and training.discriminator_optimizer is not None:
        discriminator = Learner(*fabric.setup(training.discriminator, training.discriminator_optimizer))
    learners = [generator] if discriminator is None else [generator, discriminator]
    if perceptual is not None and isinstance(phase, AdversarialPhase):
        perceptual.move_to(fabric.device)

    def step(pace: Pace, parts: Sequence[Batch]) -> Losses:
        for learner in learners:
            set_learning_rate(learner.optimizer, pace.factor)
        if isinstance(phase, PixelPhase):
            losses = pixel_step(fabric, generator, parts, phase)
        elif discriminator is not None and pace.waiting:
            losses = head_start_step(fabric, generator, discriminator, parts, phase)
        else:
            assert perceptual is not None
            mask = _mask(config.seed, training.step, pace.place, phase, fabric.device)
            views = draw_views(address(config.seed, training.step, "lpips"), phase)
            losses = adversarial_step(fabric, generator, discriminator, perceptual, parts, phase, mask, views)
        if training.average is not None:
            training.average.update_parameters(training.generator)
        training.step += 1
        return losses

    return step


def draw(config: TrainConfig, fabric: Fabric, photographs: Photographs, pace: Pace) -> list[Batch]:
    """This process's share of the next step's batch, in parts, on the device."""
    phase, training = pace.phase, pace.training
    share = phase.batch // fabric.world_size
    start, size = share * fabric.global_rank, share // phase.accumulation
    # The adversarial phase goes on where the pixel phase, if there was one, left the photographs.
    before = 0 if config.pixel is None else training.begun * config.pixel.batch
    pictures = photographs.at(before + pace.done * phase.batch)
    return [
        sample_batch(
            pictures,
            phase.patch,
            seed=config.seed,
            step=training.step,
            indices=range(first, first + size),
            detail=config.data.detail,
            scales=config.data.scales,
            whole=phase.projected,
            device=fabric.device,
        ).to(fabric.device)
        for first in range(start, start + share, size)
    ]


def _read_if_due(run: Run, pace: Pace, readings: Readings, losses: Losses) -> Seen:
    """Read the losses where that is due, and with them the time spent, which becomes the training's.

    The time is the one before the reading, which on an accelerator waits for up to ten steps: these count from the next
    reading on, and are given to a run that is resumed from here.
    """
    training, config = pace.training, run.config
    readings.add(training.step, losses)
    writes = any(training.step % every == 0 for every in (config.log_every, config.validate_every, config.save_every))
    if not (readings.due or writes or pace.over):
        return [], False, False
    rows, (stop, training.seconds) = readings.read(float(run.stopped.is_set()), pace.seconds)
    return rows, stop > 0, pace.over


def _mask(seed: int, step: int, place: float, phase: AdversarialPhase, device: torch.device) -> Tensor | None:
    """The step's CutMix mask, for the share of the steps that has one by now."""
    if phase.cutmix == 0:
        return None
    random = address(seed, step, "cutmix")
    if float(torch.rand((), generator=random)) >= min(place / phase.cutmix_ramp, phase.cutmix_probability):
        return None
    return cutmix_mask(phase.patch, phase.patch, random, device)
