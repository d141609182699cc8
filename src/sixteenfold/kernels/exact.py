"""PyTorch's convolutions and products of matrices on a GPU, as exact as float32 is."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.backends import cuda, cudnn

CUDNN: Any = cudnn
"""Its types do not know the settings by kind of network."""
MATMUL: Any = cuda.matmul

# PyTorch's older switches, cudnn.allow_tf32 and cuda.matmul.allow_tf32, refuse to be read while these say otherwise
# than they do; cuDNN and cuBLAS are told by these alone.
SETTINGS = (CUDNN.conv, CUDNN.rnn, MATMUL)


class _Switch:
    """PyTorch's, which is one for all threads."""

    lock = threading.Lock()
    users = 0
    before: tuple[str, ...] = ()
    """What each of the settings was."""


def _own(setting: Any) -> str:
    """What a setting says itself. Reading it gives what it inherits too, and that, written back, would hold it there
    when the setting above changes. (One that says the same as the one above is taken to inherit: nothing tells them
    apart.)"""
    precision: str = setting.fp32_precision
    return "none" if precision == CUDNN.fp32_precision else precision


@contextmanager
def true_fp32() -> Generator[None]:
    """Convolutions and products of float32 on CUDA without TF32; a context, or a decorator of a function.

    TF32 rounds what is read to 10 bits of mantissa. From Ampere on cuDNN's convolutions do, unless PyTorch is told
    otherwise; products of matrices do where a program asks for it, as by `torch.set_float32_matmul_precision("high")`.
    Where threads overlap, the first turns this off, and the last puts it back as it was. What goes backward after
    the context goes as the program wishes.
    """
    with _Switch.lock:
        if _Switch.users == 0:
            _Switch.before = tuple(_own(setting) for setting in SETTINGS)
            for setting in SETTINGS:
                setting.fp32_precision = "ieee"
        _Switch.users += 1
    try:
        yield
    finally:
        with _Switch.lock:
            _Switch.users -= 1
            if _Switch.users == 0:
                for setting, precision in zip(SETTINGS, _Switch.before, strict=True):
                    setting.fp32_precision = precision
