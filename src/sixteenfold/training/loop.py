"""The training loop. What the run folder holds: see `sixteenfold.training.folder`."""

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.training import checkpoint, folder, state
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.data import Batch, address, sample_batch, smallest_side
from sixteenfold.training.index import Index, make_index
from sixteenfold.training.losses import cutmix_mask
from sixteenfold.training.phases import AdversarialPhase, Phase
from sixteenfold.training.photographs import Photographs, open_photographs
from sixteenfold.training.processes import check_share, lost_process, make_fabric, stop_requested
from sixteenfold.training.record import Record, teller
from sixteenfold.training.state import Training
from sixteenfold.training.steps import Judges, Losses, Player, adversarial_step, learning_rate_factor, pixel_step
from sixteenfold.training.validation import ValidationPicture, read_validation, validate

console = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """What stays the same while a run goes on."""

    config: TrainConfig
    out: Path
    fabric: Fabric
    photographs: Photographs
    pictures: Sequence[ValidationPicture]
    judges: Judges | None
    stopped: threading.Event
    init_discriminator: Path | None


def train(
    config: TrainConfig,
    *,
    hr: Sequence[Path],
    out: Path,
    val: Path | None = None,
    resume: bool = False,
    init: Path | str | None = None,
    init_discriminator: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> Path:
    """Run the phases of a configuration, alone or as one process of a `torchrun` job.

    Args:
        config: What to do.
        hr: Folders of photographs, walked. A resumed run keeps to the photographs that it began with.
        out: The run folder; must be new or empty unless `resume`.
        val: Folder of photographs to validate on; without it the last weights are the result. With it the best:
            by PSNR in the pixel phase, by LPIPS in the adversarial phase.
        resume: Go on from the newest whole checkpoint of the run folder. On a CPU the final weights are
            those of a run never stopped, bit for bit.
        init: Start from a shipped model's name or a file with weights of the same shape.
        init_discriminator: Start from the discriminator of an earlier run.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "fp32" or "bf16" (mixed: weights stay fp32).

    Returns:
        The file with the resulting weights, `out/model.safetensors`.

    Raises:
        SixteenfoldError: For unusable folders, files or values, when a loss stops being finite (the
            checkpoints before it stay), when the run was told to stop, and when another process was lost.
    """
    fabric = make_fabric(device, precision)
    console.quiet = not fabric.is_global_zero
    for phase in (config.pixel, config.adversarial):
        if phase is not None:
            check_share(phase, fabric.world_size)
    if fabric.is_global_zero:
        folder.check_folder(config, out, resume=resume)
    judges = None if config.adversarial is None else Judges.of(config.adversarial, fabric.device)
    pictures = [] if val is None else read_validation(val, config.validation_crop)
    with ExitStack() as stack:
        stack.enter_context(lost_process(fabric))
        if fabric.is_global_zero:
            # Found once, by the first process, and kept for the others and for a resumed run.
            if not (resume and (out / folder.PHOTOGRAPHS).exists()):
                folder.make_folder(config, out, make_index(hr, smallest_side(config.largest_patch)))
            stack.enter_context(folder.locked(out))
        fabric.barrier()
        index = Index.load(out / folder.PHOTOGRAPHS)
        photographs = open_photographs(index, config.data, config.seed, fabric.device)
        stopped = stack.enter_context(stop_requested())
        run = Run(config, out, fabric, photographs, pictures, judges, stopped, init_discriminator)
        _loop(run, _start(run, index, init, resume))
    return out / "model.safetensors"


def _start(run: Run, index: Index, init: Path | str | None, resume: bool) -> Training:
    """Fresh, or as the newest whole checkpoint has it; says what the run is about to do."""
    found, damaged = checkpoint.load_latest(run.out / "checkpoints") if resume else (None, [])
    for line in damaged:
        console.print(line, soft_wrap=True)
    device = run.fabric.device
    training = state.begin(run.config, init, device) if found is None else state.resume(run.config, found, device)
    if run.init_discriminator is not None and training.opponent is not None and found is None:
        state.load_discriminator(training.opponent, run.init_discriminator)
    skipped = [*index.skipped, *run.photographs.skipped]
    if skipped:
        console.print(f"{len(skipped)} pictures skipped:\n  " + "\n  ".join(skipped), soft_wrap=True)
    console.print(
        f"{len(index.entries)} photographs, {len(run.pictures)} for validation; steps {training.step} to "
        f"{run.config.steps} on {device}, {run.fabric.world_size} process(es); run folder {run.out}",
        soft_wrap=True,
    )
    if run.fabric.is_global_zero:
        facts = {"device": folder.describe_device(device), "processes": run.fabric.world_size, "step": training.step}
        folder.record_start(run.out, precision=str(run.fabric._precision.precision), **facts)  # pyright: ignore[reportPrivateUsage]
    return training


def _loop(run: Run, start: Training) -> None:
    """Every step that is left, and around it what is due: record, validation, checkpoint, an orderly stop."""
    config = run.config
    with ExitStack() as stack:
        record = stack.enter_context(Record(run.out, start.step)) if run.fabric.is_global_zero else None
        tell = stack.enter_context(teller(console, config.steps, start.step))
        recent: list[dict[str, float]] = []
        for training, losses, stop in _steps(run, start):
            recent.append(losses)
            tell.tell(training.phase, training.step, ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
            ends = training.step in _ends(config)
            if record is not None and training.step % config.log_every == 0:
                record.numbers(training.step, _means(recent), training.phase)
                recent.clear()
            if record is not None and (training.step % config.validate_every == 0 or ends):
                _validate(run, training, record)
            if record is not None and (training.step % config.save_every == 0 or ends or stop):
                checkpoint.save(run.out / "checkpoints", training.step, training.state())
            if stop and training.step < config.steps:
                raise SixteenfoldError(f"stopped after step {training.step}; the same command with --resume goes on")


def _steps(run: Run, training: Training) -> Iterator[tuple[Training, dict[str, float], bool]]:
    """Both phases: after each step the state, the losses, and whether some process was told to stop."""
    config = run.config
    if training.phase == "pixel":
        yield from _pixel_phase(run, training)
        if config.adversarial is None:
            return
        if run.fabric.is_global_zero:
            folder.keep_pixel_model(training, run.out)
        training = state.enter("adversarial", training.result, config, run.fabric.device, step=training.step)
        if run.init_discriminator is not None and training.opponent is not None:
            state.load_discriminator(training.opponent, run.init_discriminator)
    yield from _adversarial_phase(run, training)


def _pixel_phase(run: Run, training: Training) -> Iterator[tuple[Training, dict[str, float], bool]]:
    phase = run.config.pixel
    assert phase is not None
    generator = Player(*run.fabric.setup(training.generator, training.optimizer))
    while training.step < phase.steps:
        _set_learning_rates(phase, training.step, generator)
        parts = _draw(run, phase, training.step, training.step * phase.batch)
        with _named(training.step):
            losses = pixel_step(run.fabric, generator, parts, phase)
        yield training, *_finish(run, training, losses)


def _adversarial_phase(run: Run, training: Training) -> Iterator[tuple[Training, dict[str, float], bool]]:
    config, phase = run.config, run.config.adversarial
    assert phase is not None and run.judges is not None
    first, crops = (0, 0) if config.pixel is None else (config.pixel.steps, config.pixel.steps * config.pixel.batch)
    generator = Player(*run.fabric.setup(training.generator, training.optimizer))
    opponent = training.opponent
    critic = None if opponent is None else Player(*run.fabric.setup(opponent.network, opponent.optimizer))
    while training.step < config.steps:
        done = training.step - first
        _set_learning_rates(phase, done, *(player for player in (generator, critic) if player is not None))
        parts = _draw(run, phase, training.step, crops + done * phase.batch)
        mask = _mask(config.seed, training.step, done, phase)
        mask = None if mask is None else mask.to(run.fabric.device)
        with _named(training.step):
            shift = _shift(config.seed, training.step, phase)
            losses = adversarial_step(run.fabric, generator, critic, run.judges, parts, phase, mask, shift)
        yield training, *_finish(run, training, losses)


def _draw(run: Run, phase: Phase, step: int, crops: int) -> list[Batch]:
    """This process's share of a step's batch, in parts, on the device."""
    share = phase.batch // run.fabric.world_size
    start, size = share * run.fabric.global_rank, share // phase.parts
    pictures = run.photographs.at(crops)
    return [
        sample_batch(
            pictures,
            phase.patch,
            seed=run.config.seed,
            step=step,
            indices=range(first, first + size),
            detail=run.config.data.detail,
            whole=phase.projected,
        ).to(run.fabric.device)
        for first in range(start, start + share, size)
    ]


def _finish(run: Run, training: Training, losses: Losses) -> tuple[dict[str, float], bool]:
    """Count the step and average the weights; the losses, and the wish to stop, over all processes."""
    if training.average is not None:
        training.average.update_parameters(training.generator)
    training.step += 1
    values = torch.stack([*losses.values(), torch.tensor(float(run.stopped.is_set())).to(run.fabric.device)])
    everywhere = cast(Tensor, run.fabric.all_reduce(values, reduce_op="mean"))
    means = cast(list[float], everywhere.tolist())
    stop = means.pop()
    return dict(zip(losses, means, strict=True)), stop > 0


def _set_learning_rates(phase: Phase, step: int, *players: Player) -> None:
    for player in players:
        for group in player.optimizer.param_groups:
            group["lr"] = group["peak"] * learning_rate_factor(step, phase)


def _mask(seed: int, step: int, done: int, phase: AdversarialPhase) -> Tensor | None:
    """The step's CutMix mask, for the share of the steps that has one by now."""
    if phase.cutmix == 0 or not phase.has_discriminator:
        return None
    random = address(seed, step, "cutmix")
    if float(torch.rand((), generator=random)) >= min(done / phase.cutmix_ramp, phase.cutmix_probability):
        return None
    return cutmix_mask(phase.patch, phase.patch, random)


def _shift(seed: int, step: int, phase: AdversarialPhase) -> tuple[int, int]:
    """How much is cut off before the step's LPIPS."""
    if phase.lpips_shift == 0:
        return 0, 0
    top, left = torch.randint(phase.lpips_shift, (2,), generator=address(seed, step, "lpips")).tolist()
    return top, left


def _validate(run: Run, training: Training, record: Record) -> None:
    """Score the current result and write it as the run's model if it is the best so far."""
    if not run.pictures:
        folder.write_model(training, run.out)
        return
    lpips = _metric(run) if training.phase == "adversarial" else None
    scores = validate(training.result, run.pictures, lpips)
    numbers = {"psnr": scores.psnr} if scores.lpips is None else {"psnr": scores.psnr, "lpips": scores.lpips}
    score = scores.psnr if scores.lpips is None else -scores.lpips
    if score > training.best:
        training.best = score
        folder.write_model(training, run.out)
    record.numbers(training.step, numbers, "validation")
    record.picture(training.step, scores.shown)
    said = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
    console.print(f"step {training.step}: validation {said}, best {abs(training.best):.4f}", soft_wrap=True)


def _metric(run: Run) -> LPIPS:
    known = None if run.judges is None else run.judges.lpips
    return LPIPS().to(run.fabric.device) if known is None else known


def _ends(config: TrainConfig) -> tuple[int, ...]:
    """The last step of each phase."""
    return (config.steps,) if config.pixel is None else (config.pixel.steps, config.steps)


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each term over the steps that had it."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


@contextmanager
def _named(step: int) -> Generator[None]:
    """Put the step's number before the message of what goes wrong in it."""
    try:
        yield
    except SixteenfoldError as error:
        raise SixteenfoldError(f"step {step + 1}: {error}") from None
