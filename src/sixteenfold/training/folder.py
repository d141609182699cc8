"""The run folder: who may write there, what it says of the run, the weights that come out.

config.json             the whole configuration
photographs.json        which pictures are trained on, and which were left out
starts.jsonl            when, where and with which versions the run was started or resumed
metrics.jsonl           losses and validation scores by step
tensorboard/            the same as curves, and pictures
samples/                pictures of validations
checkpoints/            everything a resume needs, from the run's start on
lock                    held by the process that trains; empty
pixel.safetensors       result of the pixel phase, once the adversarial phase has begun
model.safetensors       the best weights by validation so far, or the last where there is none
discriminator.safetensors   what they were trained against
"""

import errno
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch

import sixteenfold
from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.files.lock import try_lock
from sixteenfold.files.places import open_itself
from sixteenfold.files.whole import write_whole
from sixteenfold.networks import convert
from sixteenfold.networks.state import save
from sixteenfold.training import checkpoint, config as configuration
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.index import SAMPLES, Index
from sixteenfold.training.state import Training

MODEL = convert.RESULT
PHOTOGRAPHS = "photographs.json"
FILES = (
    *("lock", "config.json", PHOTOGRAPHS, "starts.jsonl", "metrics.jsonl"),
    *(MODEL, "pixel.safetensors", "discriminator.safetensors"),
)
FOLDERS = ("checkpoints", SAMPLES, "tensorboard")
BEFORE_CHECKPOINTS = {"lock", "config.json", PHOTOGRAPHS, SAMPLES, "checkpoints"}
"""All that a run folder holds before the first checkpoint is written: no work is in it yet."""
_LEFT_OVER = re.compile(r"\..+\.(jsonl?|safetensors|pt|png)\.\d+\.part")
"""Name of a file of ours that a process was writing when it was killed."""


def check_folder(config: TrainConfig, out: Path, *, resume: bool, validated: bool) -> bool:
    """See that the run folder is free, or holds a run of this configuration to resume.

    Args:
        config: What is to be done.
        out: The folder, which need not be there.
        resume: Whether to go on with what it holds.
        validated: Whether there are pictures to choose the best weights by.

    Returns:
        Whether the run has to begin; where there is one to resume too, if it was killed before its first checkpoint.

    Raises:
        SixteenfoldError: If the folder is neither, or the run's checkpoints are gone.
    """
    known, names = out / "config.json", _names(out)
    if not resume:
        if names - {"lock"}:
            way = "go on with --resume or choose another folder" if known.name in names else "choose another folder"
            raise SixteenfoldError(f"{out}: not empty; {way}")
        return True
    # Whatever cannot go on here can begin elsewhere with what was learned.
    weights = f", from this one's weights by --init {out / MODEL}" if (out / MODEL).exists() else ""
    if known.name not in names:
        if "checkpoints" in names:
            raise SixteenfoldError(f"{known}: is gone; put it back, or begin a new run folder{weights}")
        raise SixteenfoldError(f"{out}: no run to resume here; leave --resume out to start one")
    _check_kinds(out)
    differ = configuration.differences(_recipe(known, weights), config)
    if differ:
        raise SixteenfoldError(
            f"{known}: the run has another configuration than this command ({first_few(differ)}); "
            f"resume it with --config {known} and no option that changes the recipe, as --steps or --minutes do, "
            f"or begin a new run folder{weights}"
        )
    if not validated and (out / SAMPLES).exists():
        raise SixteenfoldError(
            f"{out}: this run keeps its best weights by validation; give --val again, or the last would replace them"
        )
    if checkpoint.list_checkpoints(out / "checkpoints"):
        return False
    if names <= BEFORE_CHECKPOINTS:
        return True
    raise SixteenfoldError(
        f"{out / 'checkpoints'}: there is none to go on from, though the run had begun; put the last one back, "
        f"or begin a new run folder{weights}"
    )


def _check_kinds(out: Path) -> None:
    """Raise SixteenfoldError where something else bears the name of what a run keeps in its folder, or is closed."""
    _check_open(out)  # of what is in a closed folder nothing can be asked
    for names, fits, kind in ((FILES, Path.is_file, "file"), (FOLDERS, Path.is_dir, "folder")):
        for path in (out / name for name in names):
            if path.exists() and not fits(path):
                raise SixteenfoldError(f"{path}: not the {kind} that a run keeps under this name; move it away")
            if path.is_dir():
                _check_open(path)


def _check_open(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SixteenfoldError(f"{folder}: cannot be read and written; change its permissions")


def _recipe(known: Path, weights: str) -> TrainConfig:
    try:
        return configuration.from_json(known)
    except SixteenfoldError as error:
        raise SixteenfoldError(f"{error}; undo what was changed there, or begin a new run folder{weights}") from None


def _names(out: Path) -> set[str]:
    """What is in the folder; none if it is not there. What a killed process was just writing does not count."""
    try:
        return {path.name for path in out.iterdir() if not _LEFT_OVER.fullmatch(path.name)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise SixteenfoldError(f"{out}: not a folder to train into ({error.strerror}); choose another") from None


def make_folder(
    config: TrainConfig, out: Path, index: Index | None, start: Training | None, *, validated: bool
) -> None:
    """Write into the run folder what it does not have yet of what a run is.

    Args:
        config: The run's configuration; the folder has it where the run has begun.
        out: The folder, which must be there.
        index: The run's photographs; None where the folder has them.
        start: The state that the run begins with, as its first checkpoint; None where it has begun.
        validated: Whether the run is to validate, which `check_folder` tells by the folder of samples from now on.

    Raises:
        SixteenfoldError: If it cannot be written.
    """
    try:
        if start is not None:
            write_whole(out / "config.json", configuration.to_json(config).encode())
            if validated:
                (out / SAMPLES).mkdir(exist_ok=True)
        if index is not None:
            index.save(out / PHOTOGRAPHS)
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot write the run folder ({error.strerror}); choose another") from None
    if start is not None:
        checkpoint.save(out / "checkpoints", start.step, start.state())


@contextmanager
def locked(out: Path) -> Generator[None]:
    """Hold the run folder, made if there is none, alone; the system lets go of it when the process ends, however.

    What a process was writing there when it was killed is removed.

    Raises:
        SixteenfoldError: If it cannot be written, or another process trains there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = open_itself(out / "lock", "wb")
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot write the run folder ({error.strerror}); choose another") from None
    with file:
        if not try_lock(file):
            raise SixteenfoldError(f"{out}: another process trains into this folder; wait for it, or choose another")
        for path in (path for folder in (".", *FOLDERS) for path in (out / folder).glob("*.part")):
            if _LEFT_OVER.fullmatch(path.name):
                path.unlink()
        yield


@contextmanager
def file_trouble(out: Path) -> Generator[None]:
    """Whatever is written in the run folder: say in one line what the system refuses.

    Raises:
        SixteenfoldError: Instead of the system's error, where that is of a full disk or of a file.
    """
    try:
        yield
    except OSError as error:
        go_on = "then the same command with --resume goes on from the last checkpoint"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SixteenfoldError(f"{out}: the disk is full; free some, {go_on}") from None
        if error.filename is None:
            raise
        raise SixteenfoldError(f"{error.filename}: {error.strerror}; mend that, {go_on}") from None


def record_start(out: Path, **facts: str | int | bool) -> None:
    """Add a line to starts.jsonl: the time, the versions, the state of the code, and the given facts."""
    # What PyTorch says of itself names the build too, as its package does not always.
    versions = {"torch": str(torch.__version__)}
    versions |= {name: _version(name) for name in ("lightning", "numpy", "pyvips")}
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "sixteenfold": sixteenfold.__version__,
        "git": _git_state(),
        "python": platform.python_version(),
        **versions,
        **facts,
    }
    path = out / "starts.jsonl"
    # Not appended to: a line that the machine's loss cut short would swallow the next.
    earlier = path.read_bytes().splitlines() if path.exists() else []
    write_whole(path, b"\n".join([*earlier, json.dumps(line).encode(), b""]))


def _version(package: str) -> str:
    """Of an installed package; one that was only copied to where it is found carries none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def last_precision(out: Path) -> str | None:
    """The precision that the run's last start was with; None where nothing says so."""
    try:
        *_, line = (out / "starts.jsonl").read_text(encoding="utf-8").splitlines()
        return str(json.loads(line)["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _git_state() -> str | None:
    """The commit that the package is run from, with "+changes" if files differ; None outside a clone of it."""
    here = Path(sixteenfold.__file__).parent
    told: list[str] = []
    # Installed somewhere in a clone of something else, it is not among what that clone keeps.
    ours = ["ls-files", "--error-unmatch", "__init__.py"]
    for words in (ours, ["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "--", "."]):
        try:
            done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        told.append(done.stdout.strip())
    _, commit, changes = told
    return commit + ("+changes" if changes else "")


def write_model(training: Training, out: Path) -> None:
    """Write the current result as the run's weights, and the discriminator beside it.

    Raises:
        SixteenfoldError: If a file cannot be written; the one before stays.
    """
    _save(training, out / MODEL)
    if training.discriminator is None:
        return
    state = {name: value.cpu().contiguous() for name, value in training.discriminator.state_dict().items()}
    try:
        write_whole(out / "discriminator.safetensors", safetensors.torch.save(state))
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot save the discriminator ({error.strerror})") from None


def keep_pixel_model(training: Training, out: Path) -> None:
    """Write the result of the pixel phase under a name that the adversarial phase leaves alone."""
    _save(training, out / "pixel.safetensors")


def _save(training: Training, target: Path) -> None:
    save(training.result, target, {"steps": str(training.step), "phase": training.phase})


def describe_device(device: torch.device) -> str:
    """A device's name for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})"
