"""For the tests of every room: an ordinary user's rights, since root has them all, and a device that is not here.

And for those of the command line and its verbs: files for commands, and what becomes of these.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from sixteenfold.cli import main
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks import generator
from sixteenfold.networks.state import save


@pytest.fixture
def as_nobody() -> AbstractContextManager[None]:
    """`with as_nobody:`, once a test: what follows has the rights of an ordinary user."""
    return _as_nobody()


@contextmanager
def _as_nobody() -> Generator[None]:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class AppleGPU(TorchFunctionMode):
    """As if tensors lay on a device without float64, but for new ones, those of `cpu()`, and what they become."""

    def __init__(self) -> None:
        super().__init__()
        self._on_cpu: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            result = result.clone()
        given, made = (
            [part for part in tree_leaves(parts) if isinstance(part, Tensor)] for parts in ((args, kwargs), result)
        )
        if func is Tensor.to:  # its other argument only names a type
            given = given[:1]
        double = any(part.dtype == torch.float64 for part in given)
        if func is Tensor.cpu or double or all(id(part) in self._on_cpu for part in given):
            self._on_cpu |= {id(part): part for part in made}
        elif any(part.dtype == torch.float64 for part in made):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


@pytest.fixture
def apple_gpu() -> AppleGPU:
    """A context; what was made before it lies on the device."""
    return AppleGPU()


@pytest.fixture(params=[torch.float64, torch.bfloat16, torch.device("meta")], ids=str)
def other_defaults(request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    """A context in which PyTorch makes tensors of another type, or where they have no numbers, unless told."""
    return _other_defaults(request.param)


@contextmanager
def _other_defaults(default: torch.dtype | torch.device) -> Generator[None]:
    if isinstance(default, torch.device):
        with default:
            yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def write(path: Path, height: int, width: int) -> Path:
    """A picture file, smooth enough to look like one."""
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rows_to_file(path, width, height, 3, np.uint8, Metadata()) as writer:
        writer.write(ramp)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of weights that cost no time."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(generator.Generator(features=4, growth=4, blocks=(1, 1)), path, {})
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr with which a command is refused."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    *before, last = said.splitlines()
    assert last.startswith("sixteenfold: ")
    assert not any(line.startswith("sixteenfold: ") or "Traceback" in line for line in before)
    return last


def shell(*words: object) -> subprocess.CompletedProcess[str]:
    """What a command does in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "sixteenfold", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
