"""Everything that a resumed run needs, in one file that appears whole or not at all."""

import hashlib
import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.whole import write_whole
from sixteenfold.networks.convert import RESULT

KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{8})-([0-9a-f]{16})\.pt")


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `checkpoint-STEP-DIGEST.pt`; remove those of the steps before but the last, and any other of this step.

    The name carries a digest of the content, so that a file that was cut short or changed is known.

    Args:
        folder: Made if it does not exist.
        step: Number of steps done.
        state: Tensors, numbers and strings, nested in dictionaries and lists.

    Raises:
        SixteenfoldError: If the file cannot be written; older checkpoints stay.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    of_step = f"checkpoint-{step:08d}"
    target = folder / f"{of_step}-{_digest(content)}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
    except OSError as error:
        raise SixteenfoldError(
            f"{target}: cannot save the checkpoint ({error.strerror}); "
            "mend that, then the same command with --resume goes on"
        ) from None
    # A newer one is damaged, or the run would have gone on from there: for its sake no whole one is removed. Nor for
    # another of this step, which is damaged too, or less than this one.
    others = [path for path in list_checkpoints(folder) if path != target]
    older = [path for path in others if path.name < of_step]
    for old in [path for path in others if path.name.startswith(of_step)] + older[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return target


def load_latest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, and a line for each newer one that is not.

    Loading executes nothing that the file carries.

    Raises:
        SixteenfoldError: If there are checkpoints and none is whole.
    """
    damaged: list[str] = []
    for path in list_checkpoints(folder):
        content = path.read_bytes()
        if path.name.endswith(f"-{_digest(content)}.pt"):
            try:
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), damaged
            except (RuntimeError, pickle.UnpicklingError, EOFError):
                pass
        damaged.append(f"{path}: damaged, the one before it is used")
    if damaged:
        raise SixteenfoldError(
            f"{folder}: all {len(damaged)} checkpoints are damaged; begin a new run folder, from this one's weights "
            f"by --init {folder.parent / RESULT} if they are there"
        )
    return None, []


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files, newest first."""
    found = (path for path in folder.glob("checkpoint-*.pt") if _NAME.fullmatch(path.name) and path.is_file())
    return sorted(found, reverse=True)


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
