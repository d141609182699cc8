"""One process or many: where to compute, and what happens when one of several is lost or told to stop."""

import atexit
import gc
import logging
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from types import FrameType

import torch
from lightning.fabric import Fabric

from sixteenfold.errors import SixteenfoldError
from sixteenfold.signals import ASKING, hears
from sixteenfold.streams import lead_nowhere
from sixteenfold.training.phases import Phase
from sixteenfold.upscaling.engine import choose_device

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


@contextmanager
def cudnn_benchmark(on: bool) -> Generator[None]:
    """Within this, whether cuDNN tries its algorithms out on each size that is new, which pays where it comes again."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = on
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def original_defaults() -> Generator[None]:
    """Within this, tensors are float32 on the CPU unless told, whatever defaults the caller has given PyTorch."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    # With a default device every operation goes through Python: none is set where there was none.
    elsewhere = torch.get_default_device().type != "cpu"
    try:
        with torch.device("cpu") if elsewhere else nullcontext():
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def training_settings() -> Generator[None]:
    """PyTorch's settings as a training has them, and Lightning in silence; then all is as the caller had it.

    So are the random numbers of the CPU, from which every network's first weights are drawn; those of other devices
    are not drawn from.
    """
    # They would say which precision was asked for, by whichever read it last.
    loggers = [logging.getLogger(f"lightning.{part_of_it}") for part_of_it in ("fabric", "pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with original_defaults(), cudnn_benchmark(True), torch.random.fork_rng(devices=[]):  # crops are of one size
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def make_fabric(device: str | torch.device, precision: str) -> Fabric:
    """Fabric for this process, or for its part in a job that `torchrun` has started.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" (of one process only) or "mps"; or a torch.device.
        precision: "fp32" or "bf16".

    Raises:
        SixteenfoldError: If there is no such device or precision.
    """
    if precision not in PRECISIONS:
        raise SixteenfoldError(f"precision {precision}: training knows {' and '.join(PRECISIONS)}")
    choose_device(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    kind, _, number = str(device).partition(":")
    devices = [int(number)] if number.isdecimal() and kind != "cpu" and world == 1 else local
    try:
        fabric = Fabric(
            accelerator=kind,
            devices=devices,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
            precision=PRECISIONS[precision],  # pyright: ignore[reportArgumentType]
        )
        fabric.launch()
        if world > 1:
            atexit.register(part, fabric)  # where something ends the run before it does so itself
    except (RuntimeError, ValueError, TypeError, ImportError) as error:
        raise SixteenfoldError(f"device {device}: cannot be used ({str(error).splitlines()[0]})") from None
    return fabric


def check_share(phase: Phase, processes: int) -> None:
    """Raise SixteenfoldError unless the phase's batch can be dealt out evenly, so that gradients count alike."""
    if phase.batch % (processes * phase.accumulation):
        raise SixteenfoldError(
            f"a batch of {phase.batch} cannot be dealt out to {processes} processes in {phase.accumulation} pieces "
            "each: choose a batch that both divide"
        )


@contextmanager
def lost_process(fabric: Fabric) -> Generator[None]:
    """Say in one line when the connection to another process breaks.

    Raises:
        SixteenfoldError: Instead of the error of the communication library.
    """
    try:
        yield
    except RuntimeError as error:
        about = ("gloo", "NCCL", "Connection closed", "Connection reset")
        known = isinstance(error, torch.distributed.DistError) or any(word in str(error) for word in about)
        if fabric.world_size == 1 or not known:
            raise
        raise SixteenfoldError(
            f"process {fabric.global_rank} of {fabric.world_size} lost another one, so the job ends; unless that one "
            "says why, the same command with --resume goes on from the last checkpoint, with any number of processes"
        ) from None


def part(fabric: Fabric) -> None:
    """Close the connections to the other processes, when nothing is left to say.

    Left to the end of the program, their threads may wake up when Python is gone: "terminate called without an active
    exception", and a run that had done all its work ends with the status of an abort.
    """
    if fabric.world_size > 1 and torch.distributed.is_initialized():
        gc.collect()  # DDP holds the connections in cycles of references
        torch.distributed.destroy_process_group()


@contextmanager
def stop_requested(fabric: Fabric) -> Generator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or a closed terminal sets: the loop ends between two steps, never inside one.

    Ignored, as SIGHUP under `nohup`, the latter stay so. A process that is alone ends at once at the second Ctrl-C.
    To one of several `torchrun` passes the user's first on, so that it may come twice.
    """
    stopped = threading.Event()
    if not hears():
        yield stopped
        return
    heeded = [number for number in ASKING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *heeded)}
    alone = fabric.world_size == 1

    def request(signum: int, frame: FrameType | None) -> None:
        if fabric.is_global_zero and not stopped.is_set():
            line = "stopping soon; a second Ctrl-C ends it at once, unsaved\n" if alone else "stopping soon\n"
            try:
                os.write(2, line.encode())  # Python's own stream may be in the middle of a line
            except OSError:
                lead_nowhere(2)  # a terminal that is gone: what is said from now on is not to keep it from saving
        stopped.set()
        if alone:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, request)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
