"""Several processes: they learn as one, stop as one, and one that is killed ends the job in a readable way."""

import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_utilities.core import rank_zero
from safetensors.torch import load_file
from torch.backends import cudnn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training import checkpoint, course, loop
from sixteenfold.training.config import AdversarialPhase, GeneratorShape, PixelPhase, TrainConfig, to_json
from sixteenfold.training.loop import train
from sixteenfold.training.processes import check_share, make_fabric, stop_requested, training_settings
from sixteenfold.training.steps import Losses, pixel_step
from sixteenfold.training.validation import Scores, validate

from .conftest import Killed, cut_after

CONFIG = TrainConfig(
    generator=GeneratorShape(features=(8, 4, 4), growth=(4, 4), blocks=(1, 1)),
    pixel=PixelPhase(steps=4, batch=4, patch=32, learning_rate=1e-3),
    adversarial=AdversarialPhase(
        steps=4, batch=4, accumulation=2, patch=64, discriminator=(4,) * 6, cutmix=1.0, cutmix_ramp=1, gradient_clip=0.1
    ),
    save_every=1,
)
PROGRAM = """
import sys
from pathlib import Path
from rich.console import Console
from sixteenfold.errors import SixteenfoldError
from sixteenfold.training import config, loop
folder, base, *resume = map(Path, sys.argv[1:])
try:
    recipe, console = config.from_json(base / "config.json"), Console(stderr=True)
    loop.train(recipe, hr=[folder], out=base / "run", resume=bool(resume), device="cpu", console=console)
except SixteenfoldError as error:
    sys.exit(str(error))
"""


def job(base: Path, photographs: Path, config: TrainConfig, *more: str) -> list[subprocess.Popen[str]]:
    """Start the two processes as `torchrun --nproc-per-node 2` would."""
    (base / "config.json").write_text(to_json(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[subprocess.Popen[str]] = []
    for rank in range(2):
        place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
        environment = os.environ | {name: str(value) for name, value in (place | where).items()}
        words = [sys.executable, "-c", PROGRAM, str(photographs), str(base), *more]
        started.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
    return started


def ends(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each has said when it ended; patient, since the machine may be busy with something else."""
    try:
        return [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()


def test_two_processes_learn_as_one(photographs: Path, tmp_path: Path) -> None:
    processes = job(tmp_path, photographs, CONFIG)
    said = ends(processes)
    assert [process.returncode for process in processes] == [0, 0], said
    assert ["run folder" in words for words in said] == [True, False]
    train(CONFIG, hr=[photographs], out=tmp_path / "one", device="cpu")
    for name in ("model", "discriminator"):
        two, one = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("run", "one"))
        assert all(torch.allclose(two[key], one[key], atol=2e-5) for key in one), name


def test_a_killed_process_ends_the_job_and_one_process_goes_on(photographs: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, pixel=PixelPhase(steps=100_000, batch=4, patch=32), adversarial=None)
    first, second = job(tmp_path, photographs, config)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("run/checkpoints/checkpoint-*[!0]-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(second.pid, signal.SIGKILL)
    said, _ = ends([first, second])
    assert first.returncode == 1 and "Traceback" not in said
    assert "lost another one" in said and "--resume" in said
    found, damaged = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert found is not None and damaged == []
    alone = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(photographs), str(tmp_path), "--resume"], stderr=subprocess.PIPE, text=True
    )
    while (
        checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[0].name[:19] <= f"checkpoint-{found['step']:08d}"
    ):
        time.sleep(0.05)
        assert alone.poll() is None
    os.kill(alone.pid, signal.SIGTERM)
    assert "--resume goes on" in ends([alone])[0]


def test_a_batch_that_cannot_be_dealt_out() -> None:
    check_share(PixelPhase(batch=8, accumulation=2), 4)
    with pytest.raises(SixteenfoldError, match="batch of 3 cannot be dealt out to 2 processes"):
        check_share(PixelPhase(batch=3), 2)


@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp17"), ("toaster", "fp32")])
def test_a_device_or_precision_that_is_not_there(device: str, precision: str) -> None:
    with pytest.raises(SixteenfoldError, match=f"{'precision' if device == 'cpu' else 'device'}"):
        make_fabric(device, precision)


def test_a_device_as_pytorch_names_it() -> None:
    assert make_fabric(torch.device("cpu"), "fp32").device == torch.device("cpu")


def test_nothing_is_said_of_the_precision_that_was_asked_for() -> None:
    with training_settings():
        make_fabric("cpu", "bf16")
        assert not rank_zero.log.isEnabledFor(logging.INFO)


@pytest.mark.parametrize("cut", [100, 6], ids=["ended", "broken off"])
def test_what_the_caller_had_set_is_as_before(
    cut: int, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random numbers, PyTorch's settings, Lightning's log."""

    def settings() -> tuple[object, ...]:
        fabric, pytorch = (logging.getLogger(f"lightning.{name}").level for name in ("fabric", "pytorch"))
        return cudnn.benchmark, cudnn.allow_tf32, cudnn.deterministic, fabric, pytorch

    seen: list[tuple[object, ...]] = []
    judged: list[bool] = []

    def looking(*words: Any) -> Losses:
        seen.append(settings())
        return pixel_step(*words)

    def judging(*words: Any) -> Scores:
        judged.append(cudnn.benchmark)
        return validate(*words)

    monkeypatch.setattr(course, "pixel_step", looking)
    monkeypatch.setattr(loop, "validate", judging)
    monkeypatch.setattr(cudnn, "allow_tf32", False)
    monkeypatch.setattr(logging.getLogger("lightning.fabric"), "level", logging.DEBUG)
    cut_after(cut, monkeypatch)  # of the 8 steps
    config = dataclasses.replace(CONFIG, validate_every=2)
    torch.manual_seed(2)
    before, stream = settings(), torch.get_rng_state()
    with pytest.raises(Killed) if cut == 6 else nullcontext():
        train(config, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    assert settings() == before and torch.equal(torch.get_rng_state(), stream)
    assert set(seen) == {(True, False, before[2], logging.WARNING, logging.WARNING)}
    assert set(judged) == {False}  # pictures are of many sizes, so cuDNN does not try its algorithms out


@pytest.mark.parametrize(("processes", "ends"), [(1, pytest.raises(KeyboardInterrupt)), (2, nullcontext())])
def test_the_second_interrupt(
    processes: int, ends: AbstractContextManager[object], capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends one process at once; several get a single one of the user's twice."""
    fabric: Any = SimpleNamespace(world_size=processes, is_global_zero=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with stop_requested(fabric) as stopped:
        assert not stopped.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stopped.is_set()
        said = capfd.readouterr().err
        assert said.startswith("stopping soon") and ("second Ctrl-C" in said) == (processes == 1)
        with ends:
            signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err == ""
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
