"""A run: its loop, and what is due around it. What comes before the first step: `sixteenfold.training.start`."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from sixteenfold.errors import Interrupted, SixteenfoldError, out_of_memory_told
from sixteenfold.files.names import all_given, given, given_or_none
from sixteenfold.training import checkpoint, folder
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.course import Run, steps_left
from sixteenfold.training.index import Index, told_skipped
from sixteenfold.training.pace import short_of_end
from sixteenfold.training.photographs import open_photographs
from sixteenfold.training.processes import (
    check_share,
    cudnn_benchmark,
    lost_process,
    make_fabric,
    part,
    stop_requested,
    training_settings,
)
from sixteenfold.training.record import Record, teller
from sixteenfold.training.speedup import check_graph
from sixteenfold.training.start import (
    first_state,
    judges,
    newest_state,
    note_start,
    run_begins,
    run_folder,
    say_what_is_ahead,
    validated_on_others,
)
from sixteenfold.training.state import Training
from sixteenfold.training.validation import validate
from sixteenfold.upscaling.progress import print_line

LESS_MEMORY = "give a smaller batch or patch, or more accumulation, which takes the same batch in parts"


@training_settings()
@out_of_memory_told(advice=LESS_MEMORY)
def train(
    config: TrainConfig,
    *,
    hr: Path | str | Sequence[Path | str],
    out: Path | str,
    val: Path | str | None = None,
    resume: bool = False,
    init: Path | str | None = None,
    init_discriminator: Path | str | None = None,
    device: str | torch.device = "auto",
    precision: str = "fp32",
    compiled: bool = False,
    graph: bool = False,
    console: Console | None = None,
) -> Path:
    """Run the phases of a configuration, alone or as one process of a `torchrun` job.

    PyTorch's random numbers and settings are the caller's again when it ends.

    Args:
        config: What to do.
        hr: Folder of photographs, or several, walked. A resumed run keeps to the photographs that it began with.
        out: The run folder; must be new or empty unless `resume`.
        val: Folder of photographs to validate on; without it the last weights are the result. With it the best:
            by PSNR in the pixel phase, by LPIPS in the adversarial phase.
        resume: Go on from the newest whole checkpoint of the run folder. On a CPU the final weights are
            those of a run never stopped, bit for bit.
        init: Start from a shipped model's name or a file with weights: of the same shape, or of a smaller network,
            which is grown and computes the same at first. It is validated first, and is the result of the phase that
            it begins if nothing that is learned there is better. A resumed run does not look at it again, nor at the
            next: its checkpoints hold what it began with.
        init_discriminator: Start from the discriminator of a shipped model, by its name, or of an earlier run.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps"; or a torch.device.
        precision: "fp32" or "bf16" (mixed: weights stay fp32).
        compiled: Compile the networks' blocks by torch.compile.
        graph: Replay the generator's passes as CUDA graphs; in one process, with `accumulation` of 1.
        console: Where the first process shows its progress, and says what there is to say; None is silent.

    Returns:
        The file with the resulting weights, `out/model.safetensors`.

    Raises:
        SixteenfoldError: For unusable folders, files or values, when a loss stops being finite (the
            checkpoints before it stay), and when another process was lost; an Interrupted when the run was told
            to stop.
    """
    out, val, folders = given(out, "out"), given_or_none(val, "val"), all_given(hr, "hr")
    if not folders:
        raise SixteenfoldError("hr: no folder of photographs is given")
    if not isinstance(config, TrainConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(f"config: {config!r} is not a TrainConfig; presets are sixteenfold.PRESETS[NAME]")
    fabric = make_fabric(device, precision)
    console = console if fabric.is_global_zero else None
    say = partial(_say, console)
    for phase in (config.pixel, config.adversarial):
        if phase is not None:
            check_share(phase, fabric.world_size)
    if graph:
        check_graph(fabric, config)
    begins = fabric.is_global_zero and run_begins(config, out, say, resume=resume, validated=val is not None)
    perceptual, validation, metric = judges(config, val, fabric)
    with ExitStack() as stack:
        stack.enter_context(lost_process(fabric))
        stack.enter_context(folder.file_trouble(out))
        if fabric.is_global_zero:
            start = partial(first_state, config, init, init_discriminator, fabric.device, say) if begins else None
            stack.enter_context(run_folder(config, folders, out, start, say, resume=resume, validated=val is not None))
        fabric.barrier()
        index = Index.load(out / folder.PHOTOGRAPHS)
        for line in index.elsewhere(folders) if fabric.is_global_zero and not begins else ():
            say(line)
        photographs = open_photographs(index, config.data, config.seed, fabric.device)
        stopped = stack.enter_context(stop_requested(fabric))
        run = Run(config, out, fabric, photographs, validation, metric, perceptual, stopped, compiled, graph, say)
        training = newest_state(run)
        say_what_is_ahead(run, training, index)
        if fabric.is_global_zero:
            note_start(run, training)
        _loop(run, training, console)
        if fabric.is_global_zero and not (out / folder.MODEL).exists():
            # Nothing was left to do, and the result had been removed.
            folder.write_model(training, out)
            say(f"{out / folder.MODEL}: was gone; written again from the last checkpoint")
        fabric.barrier()  # the first process has written by then what all return
        del run, training  # with them goes what still holds the connections
    part(fabric)
    return out / folder.MODEL


def _say(console: Console | None, line: str) -> None:
    if console is not None:
        print_line(console, line)


def _loop(run: Run, training: Training, console: Console | None) -> None:
    """Every step that is left, and around it what is due: record, validation, checkpoint, an orderly stop."""
    config = run.config
    with ExitStack() as stack:
        # Of step 0 there is nothing to keep: what is noted of it is noted again.
        record = stack.enter_context(Record(run.out, training.step or -1)) if run.fabric.is_global_zero else None
        if record is not None and training.step == 0 and "init" in training.started_from and run.validation.pictures:
            _validate(run, training, record)  # so that what is learned has to be better than what was given
        tell = stack.enter_context(teller(console, None if config.minutes else config.steps, training.step))
        told = len(run.photographs.skipped)
        for rows, stop, ends in steps_left(run, training):
            read = time.monotonic()
            # Of a set larger than memory known only now; the first process speaks for all, whose windows are the same.
            for line in told_skipped(run.photographs.skipped[told:]):
                run.say(line)
            told = len(run.photographs.skipped)
            training.recent += [losses for _, losses in rows]
            if rows:  # as there are at each step that is due for anything
                means = _means(training.recent)
                note = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
                tell.tell(training.phase, training.step, note, ends=ends)
                if training.step % config.log_every == 0 or ends:
                    if record is not None:
                        record.numbers(training.step, means, training.phase)
                    training.recent.clear()
            if record is not None and (training.step % config.validate_every == 0 or ends):
                _validate(run, training, record)
            last = ends and training.phase == _last_phase(config)
            if record is not None and (training.step % config.save_every == 0 or ends or stop):
                # The validation just now is part of the phase's time, and `seconds` was read before it.
                spent = training.seconds + time.monotonic() - read
                if not ends:  # resumed from here, the phase still has a last step, with what is due at its end
                    spent = short_of_end(config, training, spent)
                checkpoint.save(run.out / "checkpoints", training.step, training.state() | {"seconds": spent})
            if stop and not last:
                run.fabric.barrier()  # the first process has saved by then; torchrun ends it soon after another ended
                raise Interrupted(f"stopped after step {training.step}; the same command with --resume goes on")


def _validate(run: Run, training: Training, record: Record) -> None:
    """Score the current result and write it as the run's model if it is the best so far."""
    if not run.validation.pictures:
        folder.write_model(training, run.out)
        return
    lpips = None if run.metric is None or training.phase == "pixel" else run.metric.to(run.fabric.device)
    with cudnn_benchmark(False):  # pictures are of many sizes
        scores = validate(training.result, run.validation.pictures, lpips)
    numbers = {"psnr": scores.psnr} if scores.lpips is None else {"psnr": scores.psnr, "lpips": scores.lpips}
    score = scores.psnr if scores.lpips is None else -scores.lpips
    if validated_on_others(run, training):
        training.best = -math.inf
    training.validated_on = run.validation.digest
    if score > training.best or not (run.out / folder.MODEL).exists():
        training.best = score
        folder.write_model(training, run.out)
    record.numbers(training.step, numbers, "validation")
    record.picture(training.step, scores.shown)
    said = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
    run.say(f"step {training.step}: validation {said}, best {abs(training.best):.4f}")


def _last_phase(config: TrainConfig) -> str:
    return "pixel" if config.adversarial is None else "adversarial"


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each term over the steps that had it."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
