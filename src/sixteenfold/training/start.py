"""What comes before the first step, of a new run or a resumed one: its folder, its state, and what it says."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric import Fabric

from sixteenfold.imaging.folders import set_aside
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.state import digest, shape_of
from sixteenfold.training import checkpoint, folder, state
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.course import Run
from sixteenfold.training.data import smallest_side
from sixteenfold.training.index import Index, make_index, told_skipped
from sixteenfold.training.photographs import check_decodable
from sixteenfold.training.state import Training
from sixteenfold.training.steps import PerceptualNetworks
from sixteenfold.training.validation import ValidationSet, read_validation

Say = Callable[[str], None]
"""Prints a line, or is silent."""


def run_begins(config: TrainConfig, out: Path, say: Say, *, resume: bool, validated: bool) -> bool:
    """Whether a run is to begin in the folder, rather than to go on there; says so if that was asked for.

    Raises:
        SixteenfoldError: If it can do neither.
    """
    begins = folder.check_folder(config, out, resume=resume, validated=validated)
    if begins and resume:
        say(f"{out}: the run was killed before its first checkpoint, so it begins now")
    return begins


def judges(
    config: TrainConfig, val: Path | None, fabric: Fabric
) -> tuple[PerceptualNetworks | None, ValidationSet, LPIPS | None]:
    """What results are judged by, as `Run` has it: the perceptual losses; the pictures and the metric of validation.

    The networks are on the CPU, until they are needed.

    Raises:
        SixteenfoldError: If a network's weights are not to be had, or there is no picture to validate on.
    """
    perceptual = None if config.adversarial is None else PerceptualNetworks.of(config.adversarial)
    if val is None or not fabric.is_global_zero:
        return perceptual, ValidationSet(), None
    validation = read_validation(val, config.validation_crop)
    # Now, for it would be a pity to miss its weights only when the pixel phase is over.
    metric = None if perceptual is None else perceptual.lpips or LPIPS()
    return perceptual, validation, metric


@contextmanager
def run_folder(
    config: TrainConfig,
    hr: Sequence[Path],
    out: Path,
    start: Callable[[], Training] | None,
    say: Say,
    *,
    resume: bool,
    validated: bool,
) -> Generator[None]:
    """Hold the run folder, with all in it that a run needs to go on.

    Nothing is written before it is seen that the run can begin.

    Args:
        config: The run's configuration.
        hr: Where its photographs are looked for, unless the folder knows them.
        out: The folder.
        start: Makes the state that the run begins with; None where it has begun.
        say: Told of files that are not looked at.
        resume: As of `train`.
        validated: Whether the run is to validate.
    """
    known = start is None and (out / folder.PHOTOGRAPHS).exists()
    index = None if known else make_index(hr, smallest_side(config.largest_patch))
    if index is not None:
        check_decodable(index.entries)
    fresh = None if start is None else start()
    with folder.locked(out):
        # Another process may have begun here, and ended, while this one looked at the photographs.
        if start is not None and not folder.check_folder(config, out, resume=resume, validated=validated):
            index = fresh = None
        folder.make_folder(config, out, index, fresh, validated=validated)
        del fresh  # all processes go on from what is written
        if index is not None:  # a run that is gone on with keeps to its own, whatever is renamed now
            for line in index.set_aside():
                say(line)
        yield


def first_state(
    config: TrainConfig, init: Path | str | None, init_discriminator: Path | str | None, device: torch.device, say: Say
) -> Training:
    """What a new run begins with; says what of it may surprise. Arguments as of `train`."""
    generator = None if init is None else state.load_initial_generator(init, config)
    started_from: dict[str, str] = {}
    if generator is not None:
        started_from["init"] = f"{init}, sha256 {digest(generator)} of its weights"
        if shape_of(generator) != config.generator:
            say(f"{init}: grown from {shape_of(generator)} to {config.generator}; it computes the same at first")
        if config.pixel is not None and config.adversarial is not None:
            say(f"{init}: its drawing is smoothed by the pixel phase, which comes first; --pixel None leaves that out")
    elif config.pixel is None:
        say("without a pixel phase and --init, the adversarial phase begins with random weights")
    if init_discriminator is not None:
        started_from["init_discriminator"] = str(init_discriminator)
    training = state.begin(config, generator, init_discriminator, device)
    training.started_from = started_from
    return training


def newest_state(run: Run) -> Training:
    """The run as its newest whole checkpoint has it; says which newer ones are damaged."""
    found, damaged = checkpoint.load_latest(run.out / "checkpoints")
    for line in damaged:
        run.say(line)
    assert found is not None
    return state.resume(run.config, found, run.fabric.device)


def say_what_is_ahead(run: Run, training: Training, index: Index) -> None:
    """Say what the run trains and validates on, what of it may surprise, and how far it is to go."""
    for line in told_skipped([*index.skipped, *run.photographs.skipped]):
        run.say(line)
    for line in run.validation.left_out:
        run.say(f"validation: {line}")
    if run.validation.pictures and validated_on_others(run, training):
        run.say("other validation pictures than before: the next validation replaces the best weights so far")
    seen = [entry.path for entry in index.entries if entry.path in run.validation.files]
    for line in set_aside(seen, "validated on and trained on too", "keep them apart, for the scores flatter"):
        run.say(line)
    photographs = _counted(len(index.entries) - len(run.photographs.skipped), "photograph")
    run.say(
        f"{photographs}, {len(run.validation.pictures)} for validation; "
        f"{_ahead(run.config, training.step)}, on {run.fabric.device}, {run.fabric.world_size} process(es); "
        f"run folder {run.out}"
    )


def note_start(run: Run, training: Training) -> None:
    """Add a line to the run's starts, and say if the last was with another precision."""
    precision = str(run.fabric._precision.precision)  # pyright: ignore[reportPrivateUsage]
    before = folder.last_precision(run.out)
    if before not in (None, precision):
        run.say(f"precision {precision}, {before} before: the weights will not be those of a run never stopped")
    folder.record_start(
        run.out,
        precision=precision,
        device=folder.describe_device(run.fabric.device),
        processes=run.fabric.world_size,
        step=training.step,
        compile=run.compiled,
        graph=run.graph,
        validation=run.validation.digest,
        **training.started_from,
    )


def validated_on_others(run: Run, training: Training) -> bool:
    """Whether the best score so far is of other validation pictures than the run's."""
    return training.validated_on not in (None, run.validation.digest)


def _ahead(config: TrainConfig, step: int) -> str:
    if step == config.steps and config.minutes is None:
        return f"all {step} steps are done"
    if config.minutes is None:
        return f"steps {step} to {config.steps}"
    return f"from step {step}, for {_counted(f'{config.minutes:g}', 'minute')} in all"


def _counted(number: int | str, thing: str) -> str:
    return f"{number} {thing}" if str(number) == "1" else f"{number} {thing}s"
